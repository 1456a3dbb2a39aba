//go:build !linux

package smtpclient

const copiesInKernel = false
