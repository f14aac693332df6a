// One end of a transfer by libutp, through utp-native: node libutp_flow.js serve HOST | send HOST PORT
//
// The sender obeys "start BYTES"; the receiver answers "now" with what it has received.
'use strict'
const readline = require('readline')
const utp = require('utp-native')

const CHUNK = Buffer.alloc(64 * 1024)
const SOCKET_BUFFER = 4 * 1024 * 1024

let received = 0

function report (event, details) {
  process.stdout.write(JSON.stringify(Object.assign({ event }, details)) + '\n')
}

function serve (host) {
  const server = utp.createServer((connection) => {
    connection.on('data', (data) => { received += data.length })
    connection.on('end', () => connection.end())
    connection.on('error', () => {})
  })
  server.listen(0, host, () => {
    server.setRecvBufferSize(SOCKET_BUFFER)
    server.setSendBufferSize(SOCKET_BUFFER)
    report('listening', { port: server.address().port })
  })
}

function send (host, port) {
  report('ready', {})
  return (nbytes) => {
    const socket = utp()
    const connection = socket.connect(Number(port), host)
    socket.setRecvBufferSize(SOCKET_BUFFER)
    socket.setSendBufferSize(SOCKET_BUFFER)
    let left = nbytes
    function more () {
      while (left > 0) {
        left -= CHUNK.length
        if (!connection.write(CHUNK)) return connection.once('drain', more)
      }
      connection.end()
    }
    connection.on('error', (error) => report('failed', { why: String(error) }))
    connection.on('connect', more)
    connection.on('data', () => {})
  }
}

const [role, ...words] = process.argv.slice(2)
const start = { serve, send }[role](...words)
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => {
  if (line === 'now') report('now', { received })
  else if (line.startsWith('start ')) start(Number(line.split(' ')[1]))
})
lines.on('close', () => process.exit(0))
