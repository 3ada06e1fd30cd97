// What the Node client does when a test asks it: a line of JSON each way.

import { createInterface } from "node:readline";
import {
  BACKWARDS, END, FORWARDS, KurrentDBClient, START, eventTypeFilter, jsonEvent, streamNameFilter,
} from "@kurrent/kurrentdb-client";

let client;
let subscription;

const number = (value) => (value === undefined ? undefined : Number(value));

const told = ({ event, commitPosition }) => ({
  id: event.id,
  type: event.type,
  stream: event.streamId,
  revision: number(event.revision),
  position: number(event.position?.commit ?? commitPosition),
  data: JSON.stringify(event.data),
  metadata: JSON.stringify(event.metadata),
});

const position = (value) => ({ commit: BigInt(value), prepare: BigInt(value) });

// The client reads the log unfiltered, and filters subscriptions.
const filter = (ask, checkpointReached) => {
  const chosen = ask.prefix ? { prefixes: ask.prefix } : ask.regex ? { regex: `^(${ask.regex.join("|")})$` } : undefined;
  const options = { ...chosen, checkpointInterval: 2, maxSearchWindow: 5, checkpointReached };
  return chosen && (ask.by === "stream" ? streamNameFilter(options) : eventTypeFilter(options));
};

const collected = async (events) => {
  const all = [];
  for await (const event of events) all.push(told(event));
  return { events: all };
};

const limits = (ask) => ({
  direction: ask.backwards ? BACKWARDS : FORWARDS,
  ...(ask.limit === undefined ? {} : { maxCount: ask.limit }),
});

// Keeps what a subscription tells until it is asked for.
class Told {
  items = [];
  waiting = [];

  add(item) {
    const first = this.waiting.shift();
    if (first) first(item);
    else this.items.push(item);
  }

  next() {
    return this.items.length > 0 ? this.items.shift() : new Promise((done) => this.waiting.push(done));
  }
}

const asked = {
  async connect({ uri }) {
    await client?.dispose();
    client = KurrentDBClient.connectionString(uri);
    return {};
  },
  async read_all(ask) {
    const start = ask.backwards ? END : START;
    const fromPosition = ask.from === undefined ? start : position(ask.from);
    return collected(client.readAll({ ...limits(ask), fromPosition, filter: filter(ask) }));
  },
  async read_stream(ask) {
    const start = ask.backwards ? END : START;
    const fromRevision = ask.from === undefined ? start : BigInt(ask.from);
    return collected(client.readStream(ask.stream, { ...limits(ask), fromRevision }));
  },
  async append({ stream }) {
    await client.appendToStream(stream, [jsonEvent({ type: "Forged", data: {} })]);
    return {};
  },
  async delete({ stream }) {
    await client.deleteStream(stream);
    return {};
  },
  async subscribe(ask) {
    const queue = new Told();
    const reached = async (_, place) => queue.add({ checkpoint: number(place.commit) });
    const stream = ask.stream
      ? client.subscribeToStream(ask.stream, { fromRevision: ask.from === undefined ? START : BigInt(ask.from) })
      : client.subscribeToAll({
        fromPosition: ask.from === undefined ? START : position(ask.from),
        filter: filter(ask, reached),
      });
    stream.on("data", (event) => queue.add(told(event)));
    stream.on("caughtUp", (end) => queue.add({ caught_up: number(end?.position?.commit) ?? null }));
    stream.on("error", (error) => queue.add({ error: error.constructor.name, text: error.message }));
    subscription = { queue, stream };
    return {};
  },
  async next() {
    return subscription.queue.next();
  },
  async unsubscribe() {
    await subscription.stream.unsubscribe();
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  let answer;
  try {
    answer = await asked[ask.do](ask);
  } catch (error) {
    answer = { error: error.constructor.name, text: error.message };
  }
  console.log(JSON.stringify(answer));
}
await client?.dispose();
process.exit(0);
