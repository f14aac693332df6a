// What does libutp do when it exchanges bytes with us?
//
//   node exchange.js (listen|connect PORT) --send BYTES --seed TEXT --close (first|second) [--stack utp]
//
// One connection.  Sends BYTES pseudo-random bytes, SHAKE-256 of the seed, reads to the end of the stream, and prints
// JSON lines: "listening" with its port, "connected", "end" when the other side's FIN arrived, "done" with the count
// and the SHA-256 of what it received and its CPU seconds.  "first" ends its own side as soon as everything is
// written, "second" only when the other side has ended.  exchange.py does the same for twisted_utp.  "--stack utp" is
// npm's uTP in pure JavaScript in place of libutp.
'use strict'
const crypto = require('crypto')

const CHUNK = 64 * 1024

function parseArguments (argv) {
  const options = { role: argv.shift(), send: 0, seed: '', close: 'first', stack: 'utp-native' }
  if (options.role === 'connect') options.port = Number(argv.shift())
  while (argv.length) options[argv.shift().replace(/^--/, '')] = argv.shift()
  options.send = Number(options.send)
  return options
}

function report (event, details) {
  console.log(JSON.stringify(Object.assign({ event }, details)))
}

function pseudoRandom (seed, length) {
  return crypto.createHash('shake256', { outputLength: length }).update(seed).digest()
}

function cpuSeconds () {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function sendAll (connection, data, done) {
  let offset = 0
  function more () {
    while (offset < data.length) {
      const chunk = data.subarray(offset, offset += CHUNK)
      if (!connection.write(chunk)) return connection.once('drain', more)
    }
    done()
  }
  more()
}

function exchange (connection, options, closed) {
  const digest = crypto.createHash('sha256')
  let received = 0
  let ended = false
  let written = false
  const finish = () => {
    // An acceptor's libutp forgets a FIN for ever that it should send before anything has arrived (also towards
    // another libutp): it waits for the first bytes.
    const mayEnd = options.role === 'connect' || received > 0
    if (written && mayEnd && (ended || options.close === 'first')) connection.end()
  }
  connection.on('data', (data) => {
    received += data.length
    digest.update(data)
    if (received === data.length) finish()
  })
  connection.on('end', () => {
    ended = true
    report('end', { received })
    finish()
  })
  connection.on('error', (error) => {
    report('error', { message: error.message, received })
    process.exit(1)
  })
  connection.on('close', () => {
    report('done', { received, sha256: digest.digest('hex'), cpu: cpuSeconds() })
    closed()
  })
  sendAll(connection, options.payload, () => {
    written = true
    report('written')
    finish()
  })
}

const options = parseArguments(process.argv.slice(2))
const utp = require(options.stack)
options.payload = options.send ? pseudoRandom(options.seed, options.send) : Buffer.alloc(0)
if (options.role === 'listen') {
  const server = utp.createServer((connection) => {
    report('connected')
    // npm's utp waits for ever when there is no connection left to close.
    exchange(connection, options, () => options.stack === 'utp' ? process.exit(0) : server.close())
  })
  const listening = () => report('listening', { port: server.address().port })
  if (options.stack === 'utp') server.listen(0, listening)
  else server.listen(0, '127.0.0.1', listening)
} else {
  const connection = utp.connect(options.port, '127.0.0.1')
  connection.on('connect', () => {
    report('connected')
    exchange(connection, options, () => process.exit(0))
  })
}
