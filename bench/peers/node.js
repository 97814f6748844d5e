// A Node service that answers a constant: node node.js HOST PORT BODY CONTENT-TYPE
'use strict';

const http = require('node:http');

const [host, port, body, contentType] = process.argv.slice(2);
if (contentType === undefined) {
  console.error('usage: node node.js HOST PORT BODY CONTENT-TYPE');
  process.exit(64);
}
const headers = { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) };

http
  .createServer((request, response) => {
    if (request.url === '/api/light') {
      response.writeHead(200, headers).end(body);
    } else {
      response.writeHead(404).end();
    }
  })
  .listen(Number(port), host);
