// Reads records of Kafka, a JSON object a line, and prints each as the SDK of CloudEvents understands it.
const { Kafka } = require("cloudevents")
const readline = require("node:readline")

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { key, headers, value } = JSON.parse(line)
  if (value === null) {
    try {
      Kafka.toEvent({ key, headers, value })
    } catch (error) {
      console.log(JSON.stringify({ refused: error.message }))
    }
    return
  }
  const event = Kafka.toEvent({ key, headers, value: Buffer.from(value, "base64") })
  event.validate()
  const { id, source, type, subject, time, dataschema, datacontenttype, specversion, partitionkey, data } = event
  const bytes = Buffer.isBuffer(data) ? data.toString("base64") : null
  const told = { id, source, type, subject, time, dataschema, datacontenttype, specversion, partitionkey }
  console.log(JSON.stringify({ ...told, data: bytes === null ? data : bytes }))
})
