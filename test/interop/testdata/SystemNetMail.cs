// SystemNetMail pickup FOLDER   writes a message into a pickup directory, as SmtpClient does
// SystemNetMail net FOLDER      the same in the form of Microsoft's .NET, which puts the envelope first and doubles dots
// SystemNetMail smtp PORT       sends it to 127.0.0.1
// SystemNetMail starttls PORT   the same in TLS, whatever the certificate
using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Mail;
using System.Net.Mime;
using System.Text;

static class SystemNetMail
{
    static int Main(string[] args)
    {
        using (var message = Compose())
        {
            switch (args[0])
            {
                case "pickup": Pickup(message, args[1]); break;
                case "net": Net(message, args[1]); break;
                case "smtp": Smtp(message, int.Parse(args[1]), false); break;
                case "starttls": Smtp(message, int.Parse(args[1]), true); break;
                default: return 2;
            }
        }
        return 0;
    }

    static MailMessage Compose()
    {
        var m = new MailMessage
        {
            From = new MailAddress("sender@client.test", "Jürgen Müller", Encoding.UTF8),
            Subject = "Grüße: Rechnung № 7",
            SubjectEncoding = Encoding.UTF8,
            Body = "first line\r\n.\r\n..two dots\r\n.dot and word\r\nFrom here on\r\nend of text\r\n",
            BodyEncoding = Encoding.ASCII,
        };
        m.To.Add(new MailAddress("a@local.test", "Schmidt, Änne", Encoding.UTF8));
        m.To.Add(new MailAddress("b@remote.test", "Plain, with comma"));
        m.CC.Add(new MailAddress("c@local.test", "Copy"));
        m.Bcc.Add(new MailAddress("hidden@local.test", "Nobody sees"));
        m.Bcc.Add(new MailAddress("secret@remote.test"));
        var data = Enumerable.Range(0, 9000).Select(i => (byte)(i * 7)).ToArray();
        m.Attachments.Add(new Attachment(new MemoryStream(data), "Müller.bin", MediaTypeNames.Application.Octet));
        return m;
    }

    static void Pickup(MailMessage m, string folder)
    {
        var client = new SmtpClient { DeliveryMethod = SmtpDeliveryMethod.SpecifiedPickupDirectory, PickupDirectoryLocation = folder };
        client.Send(m);
    }

    // Net writes in place, in two steps, as .NET does: what watches the folder sees a file that is not whole.
    static void Net(MailMessage m, string folder)
    {
        var aside = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString()));
        Pickup(m, aside.FullName);
        var lines = File.ReadAllText(aside.GetFiles()[0].FullName, Encoding.GetEncoding(28591)).Replace("\r\n", "\n").Split('\n');
        aside.Delete(true);
        using (var file = new FileStream(Path.Combine(folder, Guid.NewGuid() + ".eml"), FileMode.CreateNew))
        using (var w = new StreamWriter(file, Encoding.GetEncoding(28591)) { NewLine = "\r\n" })
        {
            w.WriteLine("X-Sender: " + m.From.Address);
            foreach (var a in m.To.Concat(m.CC).Concat(m.Bcc)) w.WriteLine("X-Receiver: " + a.Address);
            w.Flush();
            System.Threading.Thread.Sleep(300);
            foreach (var line in lines.Where(l => !l.StartsWith("Bcc:"))) w.WriteLine((line.StartsWith(".") ? "." : "") + line);
        }
    }

    static void Smtp(MailMessage m, int port, bool tls)
    {
        ServicePointManager.ServerCertificateValidationCallback = (sender, certificate, chain, errors) => true;
        using (var client = new SmtpClient("127.0.0.1", port) { EnableSsl = tls }) client.Send(m);
    }
}
