// Decodes crossings in all formats that leadscore writes; docs/subscribers.md has them.

const fs = require('fs')
const path = require('path')
const avro = require('avsc')

// CRC-64-AVRO of the canonical schema, little-endian
const EMPTY = 0xc15d213aa4d7a795n
const TABLE = Array.from({ length: 256 }, (_, byte) => {
  let crc = BigInt(byte)
  for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ EMPTY : crc >> 1n
  return crc
})
function fingerprint(type) {
  let crc = EMPTY
  for (const byte of Buffer.from(JSON.stringify(type.schema()))) {
    crc = (crc >> 8n) ^ TABLE[Number((crc ^ BigInt(byte)) & 0xffn)]
  }
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(crc)
  return bytes.toString('hex')
}

class UnknownSchema extends Error {}

// The folder has crossing.avsc and its earlier versions. Instants become milliseconds.
function decoder(folder) {
  const schemaOf = (name) => avro.Type.forSchema(JSON.parse(fs.readFileSync(path.join(folder, name))))
  const reader = schemaOf('crossing.avsc')
  const resolvers = {} // by fingerprint
  for (const name of fs.readdirSync(folder).filter((name) => /^crossing(\.\d+)?\.avsc$/.test(name))) {
    const writer = schemaOf(name)
    resolvers[fingerprint(writer)] = reader.createResolver(writer)
  }

  return function decode(value) {
    if (value[0] === 0x7b) return ofJson(value)
    if (value[0] === 0x00) throw new UnknownSchema('Confluent framing: expected a registry client here, or JSON')
    const name = value.subarray(2, 10).toString('hex')
    if (value.readUInt16BE(0) !== 0xc301) throw new Error('expected JSON or Avro of leadscore')
    if (!resolvers[name]) throw new UnknownSchema(`schema ${name} is not among the files of ${folder}`)
    return reader.fromBuffer(value.subarray(10), resolvers[name])
  }
}

function ofJson(value) {
  const crossing = JSON.parse(value)
  for (const name of ['id', 'lead_id', 'threshold', 'direction', 'cause', 'occurred_at']) {
    if (typeof crossing[name] !== 'string') throw new Error(`JSON without ${name}`)
  }
  for (const name of ['occurred_at', 'decided_at', 'projected_exit_at']) {
    crossing[name] = crossing[name] && Date.parse(crossing[name])
  }
  return crossing
}

module.exports = { decoder, UnknownSchema }
