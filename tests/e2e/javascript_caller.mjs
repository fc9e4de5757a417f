// Reads one {operation, parameters} a line, calls it with the AWS SDK for JavaScript, and answers one line of JSON.
import { createInterface } from "node:readline";
import * as ecr from "@aws-sdk/client-ecr";
import * as sts from "@aws-sdk/client-sts";

const clients = { ecr: new ecr.ECRClient({}), sts: new sts.STSClient({}) };

function revive(name, value) {
  return value !== null && typeof value === "object" && "base64" in value ? Buffer.from(value.base64, "base64") : value;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { operation, parameters } = JSON.parse(line, revive);
  const [service, library] = operation === "GetCallerIdentity" ? [clients.sts, sts] : [clients.ecr, ecr];
  let answer;
  try {
    const { $metadata, ...result } = await service.send(new library[`${operation}Command`](parameters));
    answer = { result };
  } catch (error) {
    answer = { error: { name: error.name, message: error.message } };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
