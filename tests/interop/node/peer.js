// One end of one TLS connection, in Node. The first argument is JSON:
//   {role, host, port, name, flow, version, data, cert, key, ca, client, suite, openssl_suite, groups, alpn}
// A server prints "port N"; at the end either role prints "seen {...}" (see ../base.py for the flows).
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const tls = require('tls');

const setup = JSON.parse(process.argv[2]);
const data = fs.readFileSync(setup.data);

function converse(socket) {
  const hash = crypto.createHash('sha256');
  const kept = [];
  let received = 0;
  if (setup.flow === 'first') socket.end(data);
  socket.on('data', (piece) => {
    hash.update(piece);
    received += piece.length;
    if (setup.flow === 'collect') kept.push(piece);
    if (setup.flow !== 'echo' && setup.flow !== 'close') return;
    if (!socket.write(piece)) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
    if (setup.flow === 'close' && received === data.length) socket.end();
  });
  socket.on('end', () => {
    if (setup.flow === 'echo') socket.end();
    if (setup.flow === 'collect') socket.end(Buffer.concat(kept));
  });
  socket.on('close', () => {
    const seen = {
      sha256: hash.digest('hex'),
      alpn: socket.alpnProtocol || null,
      cipher: facts.cipher,
      client: facts.client,
    };
    process.stdout.write(`seen ${JSON.stringify(seen)}\n`);
  });
  const facts = {
    cipher: socket.getCipher().standardName,
    client: Boolean(socket.getPeerX509Certificate && socket.getPeerX509Certificate()),
  };
}

function fail(error) {
  process.stderr.write(`${error.code || ''} ${error.message}\n`);
  process.exit(1);
}

const common = {
  ca: fs.readFileSync(setup.ca),
  minVersion: setup.version === 0x0303 ? 'TLSv1.2' : 'TLSv1.3',
  maxVersion: setup.version === 0x0303 ? 'TLSv1.2' : 'TLSv1.3',
  ALPNProtocols: setup.alpn.length ? setup.alpn : undefined,
};
if (setup.cert) {
  common.cert = fs.readFileSync(setup.cert);
  common.key = fs.readFileSync(setup.key);
}
if (setup.suite) common.ciphers = setup.openssl_suite;
if (setup.groups.length) common.ecdhCurve = setup.groups.join(':');

if (setup.role === 'server') {
  const options = { ...common, allowHalfOpen: true, requestCert: setup.client, rejectUnauthorized: setup.client };
  const server = tls.createServer(options, (socket) => {
    server.close();
    socket.on('error', fail);
    converse(socket);
  });
  server.on('tlsClientError', fail);
  server.listen(0, setup.host, () => process.stdout.write(`port ${server.address().port}\n`));
} else {
  // tls.connect has allowHalfOpen only for a socket that it is given.
  const raw = net.connect({ host: setup.host, port: setup.port, allowHalfOpen: true });
  const socket = tls.connect({ ...common, socket: raw, allowHalfOpen: true, servername: setup.name }, () => {
    converse(socket);
  });
  socket.on('error', fail);
}
