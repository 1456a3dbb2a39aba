// Package metabase moves the settings of the Microsoft SMTP Service in: it reads a MetaBase.xml, or the text
// that adsutil ENUM prints, into a tree of keys with typed properties, and makes one configuration
// file of it, with a report of what was taken, what was changed and why, and what could not be taken.
//
// The file it reads comes from anywhere: it is read once, as a stream, within the bounds of limits.go; nothing
// in it is expanded, followed or looked up. Secrets are neither read nor written. A list of addresses that
// cannot be read for certain becomes one that lets nobody in.
//
// What the configuration can say is asked of the schema (internal/config): a setting whose engine is missing is written
// commented out, and becomes active by itself when the engine is there.
//
// Start with Import, then Properties (the table of all that the original could be told), then convert.go.
package metabase
