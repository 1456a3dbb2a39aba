package smtpclient

const copiesInKernel = true
