// libutp, through utp-native, as a measured program: node --expose-gc libutp_peer.js ROLE...
//
// The roles are those of contenders.py, the lines it prints and obeys those of account.py.  All connections share one
// UDP socket, as libutp's do; it takes 3,001 at most.
'use strict'
const readline = require('readline')
const utp = require('utp-native')

const HOST = process.env.PEER_HOST || '127.0.0.1'
const CHUNK = Buffer.alloc(64 * 1024)
const BYTE = Buffer.from('x')
const SOCKET_BUFFER = 4 * 1024 * 1024 // with the kernel's default libutp is thirty times slower
const AT_ONCE = 40
const WARM_UP = 20

const account = { connections: 0, received: 0, last: 0 }

function report (event, details) {
  process.stdout.write(JSON.stringify(Object.assign({ event }, details)) + '\n')
}

function monotonic () {
  return Number(process.hrtime.bigint()) / 1e9
}

function cpuSeconds () {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function reportNow () {
  report('now', Object.assign({ cpu: cpuSeconds() }, account))
}

function reportMemory () {
  global.gc()
  report('memory', { rss: process.memoryUsage().rss })
}

function obey (other) {
  const lines = readline.createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    if (line === 'now') reportNow()
    else if (line === 'memory') reportMemory()
    else other(line)
  })
  lines.on('close', () => process.exit(0))
}

function enlargeBuffers (socket) {
  socket.setRecvBufferSize(SOCKET_BUFFER)
  socket.setSendBufferSize(SOCKET_BUFFER)
}

function serve (what) {
  const server = utp.createServer((connection) => {
    account.connections += 1
    connection.on('data', (data) => {
      account.received += data.length
      account.last = monotonic()
      if (what === 'echo') connection.write(data)
    })
    connection.on('end', () => connection.end())
    connection.on('error', () => {})
    connection.on('close', () => { account.connections -= 1 })
  })
  server.listen(0, HOST, () => {
    enlargeBuffers(server)
    report('listening', { port: server.address().port })
  })
}

function dialler (port) {
  const socket = utp()
  let fresh = true
  return function dial (connected) {
    const connection = socket.connect(port, HOST)
    if (fresh) enlargeBuffers(socket)
    fresh = false
    connection.on('error', (error) => report('failed', { why: String(error) }))
    connection.on('connect', () => connected(connection))
    connection.on('data', () => {})
    return connection
  }
}

function dialMany (dial, count, done) {
  const made = []
  let left = count
  function more () {
    if (left === 0) return
    left -= 1
    dial((connection) => {
      made.push(connection)
      made.length === count ? done(made) : more()
    })
  }
  for (let i = 0; i < Math.min(AT_ONCE, count); i++) more()
}

function sendAll (connection, length) {
  let left = length
  function more () {
    while (left > 0) {
      const chunk = CHUNK.subarray(0, Math.min(left, CHUNK.length))
      left -= chunk.length
      if (!connection.write(chunk)) return connection.once('drain', more)
    }
    connection.end()
  }
  more()
}

function bulk (port, nbytes, connections) {
  const count = Number(connections)
  dialMany(dialler(Number(port)), count, (made) => {
    const [cpu, started] = [cpuSeconds(), monotonic()]
    let open = count
    for (const connection of made) {
      connection.on('close', () => {
        if (--open === 0) report('done', { cpu: cpuSeconds() - cpu, started })
      })
      sendAll(connection, Math.floor(Number(nbytes) / count))
    }
  })
}

function ping (port, seconds) {
  dialler(Number(port))((connection) => {
    let [count, began, cpu] = [-WARM_UP, 0, 0]
    connection.on('data', () => {
      count += 1
      const now = monotonic()
      if (count === 0) [began, cpu] = [now, cpuSeconds()]
      if (count > 0 && now > began + Number(seconds)) {
        return report('done', { count, seconds: now - began, cpu: cpuSeconds() - cpu })
      }
      connection.write(BYTE)
    })
    connection.write(BYTE)
  })
}

function churn (port, count, atOnce) {
  const dial = dialler(Number(port))
  const [cpu, began] = [cpuSeconds(), monotonic()]
  let [left, open] = [Number(count), 0]
  function more () {
    if (left > 0) {
      left -= 1
      open += 1
      const connection = dial(() => connection.end(BYTE))
      // Not 'close': libutp keeps a connection that has ended on both sides for another half second.
      connection.on('end', () => { open -= 1; more() })
    } else if (open === 0) {
      report('done', { count: Number(count), seconds: monotonic() - began, cpu: cpuSeconds() - cpu })
    }
  }
  for (let i = 0; i < Number(atOnce); i++) more()
}

function idle (port) {
  const dial = dialler(Number(port))
  report('ready')
  return (line) => dialMany(dial, Number(line.split(' ')[1]), (made) => {
    account.connections += made.length
    report('opened')
  })
}

const ROLES = { serve, bulk, ping, churn, idle }
const [role, ...words] = process.argv.slice(2)
obey(ROLES[role](...words))
