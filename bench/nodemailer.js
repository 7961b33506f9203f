// A peer for compare.py: nodemailer with its pool.
//   node nodemailer.js HOST PORT MESSAGES SIZE CONNECTIONS [tls]
// `tls` means STARTTLS; UVSMTP_BENCH_CA names the certificates to trust.
const fs = require('fs');
const nodemailer = require('nodemailer');
const [host, ...words] = process.argv.slice(2);
const [port, messages, size, connections] = words.slice(0, 4).map(Number);
const tls = words[4] === 'tls';

const raw = Buffer.alloc(size, 'abcdefghijklmnopqrstuvwxyz');
for (let i = 70; i + 1 < size; i += 72) raw.write('\r\n', i);
raw.write('\r\n', size - 2);
const transport = nodemailer.createTransport({
  host, port, pool: true, maxConnections: connections, maxMessages: Infinity,
  ...(tls ? { requireTLS: true, tls: { ca: fs.readFileSync(process.env.UVSMTP_BENCH_CA) } } : { ignoreTLS: true })
});
const envelope = { from: 'sender@bench.example', to: ['r0000000@bench.example'] };
const start = process.hrtime.bigint();
let issued = 0, done = 0, failed = 0;

function next(error) {
  if (error !== undefined) { done++; failed += error !== null; }
  if (done === messages) {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    console.log(JSON.stringify({ client: 'nodemailer', tls, messages, accepted: messages - failed, seconds,
      rate: (messages - failed) / seconds }));
    transport.close();
    process.exitCode = failed ? 1 : 0;
  } else if (issued < messages) {
    issued++;
    transport.sendMail({ envelope, raw }, next);
  }
}
for (let i = 0; i < connections * 2; i++) next();
