// A program: the module smtp-server on the ports that a JSON file names. See smtp_server.py for what
// answers how.
'use strict';
const fs = require('node:fs');

const settings = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const { SMTPServer } = require(settings.module);

const answers = {
  rcpt: {
    refused: [550, 'Not to this one'],
    busy: [450, 'The mailbox is busy'],
    full: [452, 'The mailbox is full'],
  },
  mail: { refused: [550, 'Not from you'], busy: [450, 'Not from you just now'] },
  late: { late: [554, 'Refused after all'], latebusy: [451, 'Deferred after all'] },
};

function failure(point, address) {
  const found = address && answers[point][address.address.split('@')[0]];
  return found && Object.assign(new Error(found[1]), { responseCode: found[0] });
}

let count = 0;
function store(stream, session, lmtp, done) {
  const name = `${process.pid}.${++count}`;
  const file = fs.createWriteStream(`${settings.mail}/tmp/${name}`);
  stream.pipe(file);
  file.on('finish', () => {
    const { mailFrom, rcptTo } = session.envelope;
    const refusal = failure('late', mailFrom);
    if (refusal) return done(refusal);
    fs.renameSync(`${settings.mail}/tmp/${name}`, `${settings.mail}/new/${name}`);
    const taken = `OK: queued as ${name}`;
    return done(null, lmtp ? rcptTo.map((to) => failure('late', to) || taken) : taken);
  });
}

function listen({ port, secure, lmtp }) {
  new SMTPServer({
    name: settings.name,
    secure: Boolean(secure),
    lmtp: Boolean(lmtp),
    disableReverseLookup: true,
    authOptional: true,
    allowInsecureAuth: true,
    cert: fs.readFileSync(settings.cert),
    key: fs.readFileSync(settings.key),
    onAuth({ username, password }, session, done) {
      const good = settings.users[username] === password;
      done(null, good ? { user: username } : undefined);
    },
    onMailFrom: (address, session, done) => done(failure('mail', address)),
    onRcptTo: (address, session, done) => done(failure('rcpt', address)),
    onData: (stream, session, done) => store(stream, session, lmtp, done),
  })
    .on('error', (error) => console.log(String(error)))
    .listen(port, settings.host);
}

settings.ports.forEach(listen);
