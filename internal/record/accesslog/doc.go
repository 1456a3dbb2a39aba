// Package accesslog writes the transaction log: one row for each SMTP command, in and out, in
// the W3C Extended format of the original service, all fields, in files by UTC day.
//
// It takes mail.Exchange values, knows neither sessions nor deliveries, and never makes them
// wait for a disk. Start with Log; the shape of a row is in appendRow.
//
// # Octets
//
// An inbound Exchange carries the octets as the columns want them: In is the command without
// its CRLF, in the row of DATA the size of the message; Out is the reply with its line ends,
// all lines of it, for DATA both replies together. For outbound rows the columns are made of
// the text: the verb alone for a command, the first line without its CRLF for a response.
//
// The Arg of DATA, and of the BDAT that ends a message, is the Message-ID, with a blank before
// it if the client supplied it. Of QUIT and TIMEOUT the row shows the HELO name, whatever Arg is.
//
// # Text
//
// A blank is written as "+", as the original does. Nothing in a row can end its field or the
// row: control octets, quotes, invisible and broken characters are written as %HH, and a
// field ends after 1,024 octets.
package accesslog
