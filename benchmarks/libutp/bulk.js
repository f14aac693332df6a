// How fast is libutp, and what does it cost?  The libutp side of throughput.py:
//
//   node bulk.js serve | node bulk.js send PORT LENGTH
//
// One connection, one direction, 64 KiB a write; JSON lines as throughput.py's own processes print them.
'use strict'
const utp = require('utp-native')

const CHUNK = Buffer.alloc(64 * 1024)
const SOCKET_BUFFER = 4 * 1024 * 1024 // with the kernel's default libutp is thirty times slower

function report (event, details) {
  console.log(JSON.stringify(Object.assign({ event }, details)))
}

function cpuSeconds (before) {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function enlargeBuffers (socket) {
  socket.setRecvBufferSize(SOCKET_BUFFER)
  socket.setSendBufferSize(SOCKET_BUFFER)
}

function serve () {
  const server = utp.createServer((connection) => {
    const [cpu, started] = [process.cpuUsage(), process.hrtime.bigint()]
    let received = 0
    connection.on('data', (data) => { received += data.length })
    connection.on('end', () => {
      const seconds = Number(process.hrtime.bigint() - started) / 1e9
      report('done', { cpu: cpuSeconds(cpu), seconds, received })
      connection.end()
    })
    connection.on('close', () => server.close())
  })
  server.listen(0, '127.0.0.1', () => {
    enlargeBuffers(server)
    report('listening', { port: server.address().port })
  })
}

function send (port, length) {
  const socket = utp()
  const connection = socket.connect(port, '127.0.0.1')
  enlargeBuffers(socket)
  connection.on('connect', () => {
    const cpu = process.cpuUsage()
    let left = length
    function more () {
      while (left > 0) {
        const chunk = CHUNK.subarray(0, Math.min(left, CHUNK.length))
        left -= chunk.length
        if (!connection.write(chunk)) return connection.once('drain', more)
      }
      connection.end()
    }
    connection.on('data', () => {})
    connection.on('close', () => {
      report('done', { cpu: cpuSeconds(cpu) })
      socket.close()
    })
    more()
  })
}

const [role, port, length] = process.argv.slice(2)
if (role === 'serve') serve()
else send(Number(port), Number(length))
