// A producer and a subscriber as other people write them, with kafkajs and its defaults. JSON lines in, JSON lines out.
//
//   node client.js produce BOOTSTRAP TOPIC            stdin: {"key": text or null, "value": text, "headers": texts by name}
//   node client.js subscribe BOOTSTRAP TOPIC COUNT    stdout: {"key", "value", "headers", "partition", "partition_here"}
//   node client.js follow BOOTSTRAP TOPIC COUNT       the same of each record as it comes, until COUNT records without a
//                                                     key have come, and when: {"key", "id", "value" in base64, "at_ms"}
//
// partition_here is where this client's own producer would have put the key.

const { Kafka, Partitioners, logLevel } = require('kafkajs')

const [, , action, bootstrap, topic, count] = process.argv
const kafka = new Kafka({ clientId: 'foreign', brokers: [bootstrap], logLevel: logLevel.ERROR })

async function produce() {
  const lines = require('fs').readFileSync(0, 'utf8').split('\n')
  const messages = lines.filter(Boolean).map((line) => JSON.parse(line))
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic, messages })
  await producer.disconnect()
}

async function partitionsOf() {
  const admin = kafka.admin()
  await admin.connect()
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  await admin.disconnect()
  return topics[0].partitions
}

async function subscribe() {
  const partitionMetadata = await partitionsOf()
  const partitioner = Partitioners.DefaultPartitioner()
  const consumer = kafka.consumer({ groupId: `${topic}-foreign` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let left = Number(count)
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    const eachMessage = async ({ partition, message }) => {
      const headers = Object.fromEntries(Object.entries(message.headers).map(([name, text]) => [name, text.toString()]))
      const partitionHere = partitioner({ topic, partitionMetadata, message })
      const { key, value } = message
      const line = { key: key.toString(), value: value.toString(), headers, partition, partition_here: partitionHere }
      console.log(JSON.stringify(line))
      left -= 1
      if (left === 0) resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
}

async function follow() {
  const consumer = kafka.consumer({ groupId: `${topic}-follower` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let left = Number(count)
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    const eachMessage = async ({ message: { key, value, headers } }) => {
      if (key === null) {
        left -= 1
        if (left === 0) resolve()
        return
      }
      const id = headers.ce_id.toString()
      console.log(JSON.stringify({ key: key.toString(), id, value: value && value.toString('base64'), at_ms: Date.now() }))
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
}

const actions = { produce, subscribe, follow }
actions[action]().catch((error) => {
  console.error(error)
  process.exit(1)
})
