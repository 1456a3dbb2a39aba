// What this Haraka does with mail: dest.test stays here, all else goes to the next server.
const fs = require('node:fs');
const path = require('node:path');

exports.hook_rcpt = (next, connection, [rcpt]) => {
  const here = rcpt.host === 'dest.test';
  if (here && rcpt.user === 'nobody') return next(DENY, '5.1.1 No mailbox here by that name');
  connection.transaction.relaying = !here;
  connection.relaying = !here;
  next(OK);
};

// One file for each recipient, whole or not at all.
exports.hook_queue = (next, connection) => {
  const { transaction } = connection;
  const whole = path.join('{{.Dir}}', transaction.uuid);
  const file = fs.createWriteStream(whole);
  file.once('error', (err) => next(DENYSOFT, err.message));
  file.once('close', () => {
    for (const rcpt of transaction.rcpt_to) {
      const folder = path.join('{{.Dir}}/mail', `${rcpt.user}@${rcpt.host}`);
      fs.mkdirSync(folder, { recursive: true });
      fs.linkSync(whole, path.join(folder, transaction.uuid));
    }
    fs.unlinkSync(whole);
    next(OK);
  });
  transaction.message_stream.pipe(file);
};

exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: '{{.NextHost}}', port: {{.NextPort}} });
