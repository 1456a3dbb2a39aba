// Package config is the schema of the configuration file: the values, their defaults, the
// rules they must keep, the differences between two configurations, and the codec that reads
// and edits the file.
//
// It is data only. It opens no socket, looks up no name, knows no engine and starts nothing;
// who needs a value gets it mapped by the service. Besides the file itself it touches no disk.
//
// The file is HCL, a closed subset of it: literals only, no variables, functions, templates
// or expressions. All settings stand in one tree of descriptors (Schema, in the files
// schema_*.go); reading, defaults, checks, Show, Diff, the first file (InitFile), editing
// (Apply) and the page docs/manual/settings.md derive from it. A setting whose engine does not
// exist yet is in the schema with its name, type and default, has no field in Config, and is
// refused when a file sets it.
//
// Start with Config (what a file means), then Schema and Setting, then Parse.
package config
