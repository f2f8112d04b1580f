// Parses an AsyncAPI document with all that it refers to, and prints what it found as JSON.
const { Parser, fromFile } = require("@asyncapi/parser")
const { AvroSchemaParser } = require("@asyncapi/avro-schema-parser")

async function main(path) {
  const parser = new Parser()
  parser.registerSchemaParser(AvroSchemaParser())
  const { document, diagnostics } = await fromFile(parser, path).parse()
  const problems = diagnostics.map(({ code, message, path, severity }) => ({ code, message, path: path.join("."), severity }))
  const channels = document
    ? document.channels().all().map((channel) => ({
        address: channel.address(),
        messages: channel.messages().all().map((message) => ({
          id: message.id(),
          fields: Object.keys(message.payload()?.properties() ?? {}),
        })),
      }))
    : []
  console.log(JSON.stringify({ problems, channels }))
}

main(process.argv[2])
