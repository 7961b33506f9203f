// Reads messages with postal-mime (npm), for readback.py: base64 lines in, JSON lines out.
//
// usage: node postal_mime.mjs FOLDER     where FOLDER has node_modules/postal-mime
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(process.argv[2] + '/'));
const loaded = await import(pathToFileURL(require.resolve('postal-mime')));
const { default: PostalMime, decodeWords } = loaded.decodeWords ? loaded : loaded.default;

function people(list) {
    const out = [];
    for (const entry of list ?? []) {
        if (entry.group) {
            out.push(...entry.group.map(member => [entry.name, member.name, member.address]));
        } else {
            out.push(['', entry.name, entry.address]);
        }
    }
    return out;
}

function header(message, key) {
    const found = message.headers.find(field => field.key === key);
    return found ? decodeWords(found.value) : null;
}

// It makes LF of the line ends of some texts.
const text = value => value?.replace(/\r?\n/g, '\r\n') ?? null;

const bytes = content => Buffer.from(content);

function read(message) {
    const found = {
        subject: message.subject ?? '',
        header: header(message, 'x-any'),
        from: people([message.from]),
        to: people(message.to),
        text: text(message.text),
        html: text(message.html),
        calendar: null,
        attached_message: null,
        attachments: [],
        flaws: [
            'adds line ends', 'changes binary parts', 'collapses blanks',
            'ends groups at a quoted semicolon', 'unquotes local parts'
        ]
    };
    for (const part of message.attachments) {
        if (part.mimeType === 'text/calendar') {
            found.calendar = text(bytes(part.content).toString());
        } else if (part.mimeType === 'message/rfc822') {
            found.attached_message = bytes(part.content).toString();
        } else {
            found.attachments.push({
                type: part.mimeType,
                filename: part.filename,
                cid: part.contentId?.replace(/[<>]/g, '') ?? null,
                bytes: bytes(part.content).toString('base64')
            });
        }
    }
    return found;
}

for await (const line of createInterface({ input: process.stdin })) {
    const raw = Buffer.from(line, 'base64');
    console.log(JSON.stringify(read(await PostalMime.parse(raw, { forceRfc822Attachments: true }))));
}
