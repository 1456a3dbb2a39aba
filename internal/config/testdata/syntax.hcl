version = 1
virtual_server "default" {
  connections {
    inbound_limt = 5
    inbound_timeout = "C:\mail"
  }
  folders { queue = "a", drop = "b" }
  messages {
    max_size = 
    max_recipients = "x"
  }
  banner = <<EOT
x
EOT
