package metabase

import (
	"fmt"
	"slices"
	"strings"
)

// shared tells of what is not of one virtual server: the service itself, routing by LDAP, accounts, event sinks.
func (c *converter) shared() {
	c.path = serviceRoot
	c.chain = []*Key{c.tree.at(serviceRoot)}
	c.leftovers(c.tree.at(serviceRoot))
	objects := 0
	for _, k := range c.tree.below(serviceRoot) {
		part := ""
		if parts := strings.Split(strings.TrimPrefix(k.Path, "/"), "/"); len(parts) > 3 {
			part = strings.ToLower(parts[3])
		}
		switch {
		case part == "alias", part == "user", part == "dl", isObject(k.Class):
			objects++
			continue
		case part == "routingsources":
			c.routing(k)
		}
		c.misnamed(k)
		c.leftovers(k)
	}
	if objects > 0 {
		c.add(&c.report.NotTaken, Line{Key: serviceRoot, Property: "aliases, users and lists", Value: fmt.Sprint(objects),
			Why: "objects of the membership directory of IIS 4; there are no mailboxes here"})
	}
	c.elsewhere()
}

// routing says aloud that a virtual server in force looked recipients up by LDAP. Set-up writes such a key to each server, without a host and
// switched off.
func (c *converter) routing(k *Key) {
	on := slices.ContainsFunc(k.Props, func(p *Prop) bool {
		row := c.tree.names.find(p.Name, p.ID)
		if row == nil {
			return false
		}
		text := strings.TrimSpace(p.Value)
		switch row.Name {
		case "SmtpDsHost", "SmtpDsAccount":
			return text != ""
		case "SmtpDsUseCat", "SmtpDsFlags":
			on, err := boolean(text)
			return text != "" && (on || err != nil)
		}
		return false
	})
	n := strings.Split(k.Path, "/")[3]
	active := slices.ContainsFunc(c.report.Servers, func(s Server) bool { return s.Active && fmt.Sprint(s.Number) == n })
	if on && active {
		c.report.attend("recipients of %s/%s were looked up by LDAP (RoutingSources), which is not in this version: each local-part is accepted, unless drop.recipients lists them", serviceRoot, n)
	}
}

// misnamed tells of a key that may have been meant for a virtual server, and is none.
func (c *converter) misnamed(k *Key) {
	name := k.Path[len(serviceRoot)+1:]
	like := strings.Trim(name, "0123456789") == "" || strings.EqualFold(k.Class, "IIsSmtpServer") && !strings.Contains(name, "/")
	if like && len(k.Props) > 0 && serverNumber(name) == 0 {
		c.report.attend("%s looks like a virtual server and is none, as its name is no number from 1 that it could have; nothing of it is taken", shown(k.Path))
	}
}

// elsewhere tells of what the mail service shares with others: log formats and event sinks. They are counted; their properties
// are names and numbers of programs.
func (c *converter) elsewhere() {
	if n := len(c.tree.below("/LM/Logging")); n > 0 {
		c.add(&c.report.NotTaken, Line{Key: "/LM/Logging", Property: "log formats", Value: fmt.Sprint(n), Why: "they say what LogPluginClsid means, and are looked up there"})
	}
	keys := c.tree.below("/LM/EventManager")
	var sinks []string
	for _, k := range keys {
		if name := sinkName(k); name != "" {
			sinks = append(sinks, name)
		}
	}
	if len(sinks) == 0 {
		if len(keys) > 0 {
			c.add(&c.report.NotTaken, Line{Key: "/LM/EventManager", Property: "keys", Value: fmt.Sprint(len(keys)), Why: "the old program's list of events; no event sink is in it"})
		}
		return
	}
	c.add(&c.report.NotTaken, Line{Key: "/LM/EventManager", Property: "event sinks", Value: strings.Join(sinks[:min(len(sinks), 10)], ", "),
		Why: fmt.Sprintf("programs of the old machine that looked at mail or changed it (%d); nothing calls them here", len(sinks))})
	c.report.attend("event sinks are not taken (%d): what they did to mail (disclaimers, archives, filters) is not done any more", len(sinks))
}

func isObject(class string) bool {
	switch strings.ToLower(class) {
	case "iissmtpalias", "iissmtpuser", "iissmtpdl":
		return true
	}
	return false
}

// sinkName returns what an event sink is called, "" where a key is none: each is a key right below one named Bindings.
func sinkName(k *Key) string {
	parts := strings.Split(k.Path, "/")
	if n := len(parts); n < 2 || !strings.EqualFold(parts[n-2], "Bindings") {
		return ""
	}
	if p := k.get("DisplayName"); p != nil && p.Value != "" && !p.Secure {
		return shown(p.Value)
	}
	return shown(parts[len(parts)-1])
}

// next says what to do, and with which command.
func (c *converter) next() {
	r := c.report
	flag := ""
	if c.o.ConfigFile != "" {
		flag = "--config " + c.o.ConfigFile + " "
	}
	step := func(text, command string) {
		if command != "" {
			command = "mailroot " + flag + command
		}
		r.Next = append(r.Next, Step{Text: text, Command: command})
	}
	if len(r.Attention) > 0 {
		step("Read the part \"Look at this first\", and change the file where it is not what you want.", "")
	}
	for _, l := range r.NotTaken {
		if l.Property == "SSLCertHash" {
			step("Export the certificate ("+shown(l.Value)+") with its key from the old machine as PFX, make PEM files of it, and set them.",
				"config set access.certificate=relay.pem access.private_key=relay.key")
			break
		}
	}
	for _, l := range r.Taken {
		if l.Property == "ServerBindings" && l.Value != "" && !strings.HasPrefix(l.Value, ":") {
			step("The bindings name addresses of the old machine. Give this one those addresses, or change the bindings.", "")
			break
		}
	}
	step("Check the file.", "config check")
	step("See where mail would go, and who may send it there.", "test route someone@example.com")
	step("Let the old service empty its queue (pause it, so that it takes no new mail), stop it (net stop SMTPSVC), then start this one.", "run")
	step("Take over what is left in the old folders.", "adopt /path/to/old/Mailroot")
}
