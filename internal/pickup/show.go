package pickup

import "github.com/mailroot/mailroot/internal/mail"

// maxShown is how much of a name or value of a file is shown, in octets.
const maxShown = 200

// show writes a file name, or what else comes out of the folder, for people.
func show(s string) string { return mail.Printable(s, maxShown) }
