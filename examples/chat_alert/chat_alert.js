// Posts a message into a chat channel when a lead enters a threshold, through an incoming webhook (Slack, Mattermost,
// Teams, ...). README.md beside this file says how to run it, and what happens after a crash.

const fs = require('fs')
const { Kafka, logLevel } = require('kafkajs')
const { decoder, UnknownSchema } = require('./crossings')

const HOUR_MS = 3_600_000
const REMEMBERED_MS = 30 * 24 * HOUR_MS // as long as the topic keeps records
const LONGEST_WAIT_MS = 60_000
const PASSES = [408, 425, 429]
const OF_THIS_MESSAGE = [400, 413, 422]

function setting(name, meaning, preset) {
  const value = process.env[name] || preset
  if (value === undefined) end(`${name} is not set: expected ${meaning}`)
  return value
}

function end(reason) {
  console.error(reason)
  process.exit(1)
}

const WEBHOOK_URL = setting('WEBHOOK_URL', 'the address of the incoming webhook')
const BROKERS = setting('KAFKA__BOOTSTRAP_SERVERS', 'the brokers, such as localhost:9092').split(',')
const GROUP = setting('GROUP', 'the consumer group')
const STORE = setting('STORE', 'a file that outlives the program')
const TOPIC = setting('TOPIC', 'the topic of crossings', 'leadscore.crossings')
const SCHEMAS = setting('SCHEMAS', 'the folder with crossing.avsc', '../../schemas')
const MAX_AGE_MS = Number(setting('MAX_AGE_HOURS', 'a number', '24')) * HOUR_MS
const FIRST_WAIT_MS = Number(setting('FIRST_WAIT_S', 'a number', '1')) * 1000
const TIMEOUT_MS = Number(setting('TIMEOUT_S', 'a number', '10')) * 1000

// The ids of what was posted, a line each with the time: appended after the webhook has said yes.
class Posted {
  constructor(file) {
    this.file = file
    const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n') : []
    const rows = lines.map((line) => line.split(' ')).filter(([, at]) => Date.now() - Number(at) < REMEMBERED_MS)
    this.ids = new Set(rows.map(([id]) => id))
    fs.writeFileSync(`${file}.new`, rows.map(([id, at]) => `${id} ${at}\n`).join(''))
    fs.renameSync(`${file}.new`, file)
  }

  has(id) {
    return this.ids.has(id)
  }

  add(id) {
    this.ids.add(id)
    fs.appendFileSync(this.file, `${id} ${Date.now()}\n`, { flush: true })
  }
}

// No alert for what nobody is to be disturbed by: leaves, what is late or over, and people whom sales knows already
// under another id.
function isNews({ direction, merged_with, stale, occurred_at, projected_exit_at }) {
  const now = Date.now()
  return (
    direction === 'ENTER' &&
    !merged_with &&
    !stale &&
    now - occurred_at <= MAX_AGE_MS &&
    (projected_exit_at === null || projected_exit_at > now)
  )
}

function textOf({ lead_id, threshold, score_name, score, grade, reasons, trigger }) {
  const why = reasons.map(({ name, points }) => `${name} ${points < 0 ? '' : '+'}${points.toFixed(0)}`).join(', ')
  const campaign = trigger && trigger.campaign ? `, campaign ${trigger.campaign}` : ''
  const text = `${lead_id} is in ${threshold}: ${score_name ? `${score_name} ` : ''}score ${score.toFixed(0)} ${grade} (${why})${campaign}`
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;') // <!channel> would page everyone
}

async function post(text, heartbeat) {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(WEBHOOK_URL, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error) => ({ ok: false, status: 0, statusText: String(error.cause || error) }))
    const { ok, status, statusText, headers } = answer
    if (ok) return
    if (OF_THIS_MESSAGE.includes(status)) return console.error(`refused, not posted: ${status} ${statusText}: ${text}`)
    if (status > 0 && status < 500 && !PASSES.includes(status)) end(`the webhook says ${status} ${statusText}`)
    const asked = Number((headers && headers.get('retry-after')) || 0) * 1000 || 0
    const doubled = FIRST_WAIT_MS * 2 ** Math.min(attempt, 16) * (0.5 + Math.random() / 2)
    const wait = Math.min(Math.max(doubled, asked), LONGEST_WAIT_MS)
    console.error(`again in ${(wait / 1000).toFixed(1)} s: ${status} ${statusText}`)
    await rest(wait, heartbeat)
  }
}

// Waits, and stays in the consumer group. After a rebalance heartbeat() throws, and the record is read again.
let stopping = false
async function rest(wait, heartbeat) {
  for (let left = wait; left > 0; left -= 1000) {
    if (stopping) throw new Error('stopping')
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 1000)))
    await heartbeat()
  }
}

function decoded(decode, message, place) {
  try {
    return decode(message.value)
  } catch (error) {
    if (error instanceof UnknownSchema) end(`${place}: ${error.message}`)
    console.error(`no crossing, no alert: ${place}: ${error.message}`)
    return null
  }
}

async function main() {
  const decode = decoder(SCHEMAS)
  const posted = new Posted(STORE)
  const kafka = new Kafka({ clientId: GROUP, brokers: BROKERS, logLevel: logLevel.ERROR })
  const consumer = kafka.consumer({ groupId: GROUP, readUncommitted: false, maxWaitTimeInMs: 500 })
  for (const name of ['SIGTERM', 'SIGINT']) {
    process.on(name, () => {
      stopping = true
      consumer.disconnect().then(() => process.exit(0))
    })
  }

  async function eachMessage({ topic, partition, message, heartbeat }) {
    if (message.value === null) return // an erased lead: there is nothing to alert of
    const crossing = decoded(decode, message, `${topic}/${partition}/${message.offset}`)
    if (crossing === null || !isNews(crossing) || posted.has(crossing.id)) return
    await post(textOf(crossing), heartbeat)
    posted.add(crossing.id)
  }

  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({ autoCommitThreshold: 1, eachMessage })
}

main().catch((error) => end(error))
