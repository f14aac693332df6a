// How is WebTorrent told what to do, line by line?  See harness/programmed.py.
'use strict'
const readline = require('readline')
const WebTorrent = require('webtorrent')

function report (event, details) {
  console.log(JSON.stringify(Object.assign({ event }, details)))
}

// It dials by uTP first wherever it has utp-native, and by TCP when that fails.
const client = new WebTorrent({ dht: false, lsd: false, utPex: false, tracker: false, natUpnp: false, natPmp: false })

function add (torrent, folder, host, port) {
  const added = client.add(torrent, { path: folder, announce: [], store: undefined })
  added.on('ready', () => {
    report('ready', { torrent: added.infoHash })
    if (host) added.addPeer(`${host}:${port}`)
  })
  added.on('done', () => report('complete', { torrent: added.infoHash }))
  added.on('wire', (wire, address) => {
    report('said', { torrent: added.infoHash, message: `${wire.type} ${address}` })
    wire.on('close', () => report('said', { torrent: added.infoHash, message: `closed ${address}` }))
  })
  for (const event of ['warning', 'error', 'noPeers']) {
    added.on(event, (what) => report('said', { torrent: added.infoHash, message: `${event} ${what}` }))
  }
}

function leave (infoHash) {
  if (client.get(infoHash)) client.remove(infoHash)
}

client.on('error', (error) => report('said', { message: `error ${error}` }))
client.on('listening', () => report('listening', { port: client.address().port }))
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, ...words] = line.split('\t')
  if (command === 'add') add(...words)
  else leave(...words)
})
