// A plugin of Haraka: what answers how, by local part, and a maildir for what was taken. The head of
// haraka.py says which.
'use strict';
const fs = require('node:fs');

const answers = {
  rcpt: {
    refused: [DENY, '5.7.1 Not to this one'],
    busy: [DENYSOFT, '4.2.1 The mailbox is busy'],
    full: [DENYSOFT, '4.2.2 The mailbox is full'],
    hangup: [DENYDISCONNECT, '5.7.1 Good bye'],
  },
  mail: {
    refused: [DENY, '5.7.1 Not from you'],
    busy: [DENYSOFT, '4.7.1 Not from you just now'],
  },
  data: { nodata: [DENY, '5.7.1 No data from you'] },
  end: {
    late: [DENY, '5.7.1 Refused after all'],
    latebusy: [DENYSOFT, '4.7.1 Deferred after all'],
  },
};

function answer(point, address, next, usual) {
  next(...(answers[point][address.user] || usual));
}

exports.register = function () {
  this.folder = this.config.get('maildir');
};

exports.hook_mail = (next, connection, params) => answer('mail', params[0], next, []);

exports.hook_rcpt = function (next, connection, params) {
  const known = connection.relaying || params[0].host === 'test.example';
  answer('rcpt', params[0], next, known ? [OK] : [DENY, '5.7.1 Relaying denied']);
};

exports.hook_data = (next, connection) =>
  answer('data', connection.transaction.mail_from, next, []);

exports.hook_data_post = (next, connection) =>
  answer('end', connection.transaction.mail_from, next, []);

exports.hook_queue = function (next, connection) {
  const name = connection.transaction.uuid;
  const file = fs.createWriteStream(`${this.folder}/tmp/${name}`);
  file.once('close', () => {
    fs.renameSync(`${this.folder}/tmp/${name}`, `${this.folder}/new/${name}`);
    next(OK);
  });
  connection.transaction.message_stream.pipe(file);
};
exports.hook_queue_outbound = exports.hook_queue;
