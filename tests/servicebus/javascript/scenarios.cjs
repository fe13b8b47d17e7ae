// What @azure/service-bus, unmodified, must be able to do against `bridge local servicebus`. The entities are those of tests/servicebus.
// Usage: CONNECTION_STRING=… node scenarios.cjs. Writes one line for each scenario; the exit code is 1 if one failed.
"use strict";

const assert = require("node:assert/strict");
const { ServiceBusClient } = require("@azure/service-bus");

const text = process.env.CONNECTION_STRING;
const options = { retryOptions: { maxRetries: 0, timeoutInMs: 15_000 } };
const patience = { maxWaitTimeInMs: 5_000 };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const bodies = (messages) => messages.map((message) => message.body);

async function send(client, entity, ...messages) {
  const sender = client.createSender(entity);
  await sender.sendMessages(messages);
  await sender.close();
}

async function take(receiver, count = 1) {
  const found = [];
  while (found.length < count) {
    const more = await receiver.receiveMessages(count - found.length, patience);
    assert.ok(more.length, `${found.length} of ${count} messages came`);
    found.push(...more);
  }
  return found;
}

async function finish(receiver, messages) {
  for (const message of messages) await receiver.completeMessage(message);
}

async function nothing(receiver) {
  assert.deepEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: 500 }), []);
}

const deadLetters = (client, queue) => client.createReceiver(queue, { subQueueType: "deadLetter" });

const scenarios = {
  async "a message is sent, received and completed"(client) {
    await send(client, "plain", { body: "hello" });
    const receiver = client.createReceiver("plain");
    const [message] = await take(receiver);
    assert.equal(message.body, "hello");
    assert.equal(message.deliveryCount, 0);
    assert.ok(message.messageId);
    await receiver.completeMessage(message);
    await nothing(receiver);
  },
  async "a batch arrives in its order"(client) {
    const sender = client.createSender("plain");
    const batch = await sender.createMessageBatch();
    for (let number = 0; number < 50; number++) assert.ok(batch.tryAddMessage({ body: number }));
    await sender.sendMessages(batch);
    const receiver = client.createReceiver("plain");
    const found = await take(receiver, 50);
    assert.deepEqual(bodies(found), [...Array(50).keys()]);
    await finish(receiver, found);
  },
  async "a large message goes in and out"(client) {
    const large = Buffer.alloc(900_000, 7);
    await send(client, "plain", { body: large });
    const receiver = client.createReceiver("plain");
    const [message] = await take(receiver);
    assert.ok(large.equals(message.body));
    await receiver.completeMessage(message);
  },
  async "properties go round with their types"(client) {
    const sent = {
      body: { a: [1, null, "x"] }, messageId: "id-1", correlationId: "corr", subject: "subject", to: "to", replyTo: "reply",
      contentType: "application/json", partitionKey: "key", timeToLive: 300_000,
      applicationProperties: { text: "zwölf", whole: 7, negative: -7, large: 2 ** 40, half: 0.5, yes: true, none: null },
    };
    await send(client, "plain", sent);
    const receiver = client.createReceiver("plain");
    const [found] = await take(receiver);
    for (const name of Object.keys(sent)) assert.deepEqual(found[name], sent[name], name);
    assert.ok(Math.abs(found.enqueuedTimeUtc - Date.now()) < 60_000);
    assert.equal(found.expiresAtUtc - found.enqueuedTimeUtc, 300_000);
    await receiver.completeMessage(found);
  },
  async "an abandoned message comes back until its count is used up"(client) {
    await send(client, "three", { body: "x" });
    const receiver = client.createReceiver("three");
    for (let count = 0; count < 3; count++) {
      const [message] = await take(receiver);
      assert.equal(message.deliveryCount, count);
      await receiver.abandonMessage(message);
    }
    const dead = deadLetters(client, "three");
    const [letter] = await take(dead);
    assert.equal(letter.deadLetterReason, "MaxDeliveryCountExceeded");
    await dead.completeMessage(letter);
  },
  async "a dead letter keeps reason, description and properties"(client) {
    await send(client, "plain", { body: "bad", applicationProperties: { kept: 1 } });
    const receiver = client.createReceiver("plain");
    const [message] = await take(receiver);
    await receiver.deadLetterMessage(message, { deadLetterReason: "Reason", deadLetterErrorDescription: "Description", extra: "more" });
    const dead = deadLetters(client, "plain");
    const [letter] = await take(dead);
    assert.equal(letter.deadLetterReason, "Reason");
    assert.equal(letter.deadLetterErrorDescription, "Description");
    assert.deepEqual([letter.applicationProperties.kept, letter.applicationProperties.extra], [1, "more"]);
    await dead.completeMessage(letter);
  },
  async "a lock can be renewed, and ends"(client) {
    await send(client, "short", { body: "x" });
    const receiver = client.createReceiver("short", { maxAutoLockRenewalDurationInMs: 0 });
    const [message] = await take(receiver);
    const before = message.lockedUntilUtc;
    await pause(400);
    assert.ok((await receiver.renewMessageLock(message)) > before);
    await pause(1_600);
    await assert.rejects(receiver.completeMessage(message), { code: "MessageLockLost" });
    const [again] = await take(receiver);
    assert.equal(again.deliveryCount, 1);
    await receiver.completeMessage(again);
  },
  async "peeking changes nothing"(client) {
    await send(client, "plain", ...[0, 1, 2, 3, 4].map((body) => ({ body })));
    const receiver = client.createReceiver("plain");
    const found = await receiver.peekMessages(10);
    assert.deepEqual(bodies(found), [0, 1, 2, 3, 4]);
    assert.deepEqual(bodies(await receiver.peekMessages(10, { fromSequenceNumber: found[3].sequenceNumber })), [3, 4]);
    const taken = await take(receiver, 5);
    assert.ok(taken.every((message) => message.deliveryCount === 0));
    await finish(receiver, taken);
    assert.deepEqual(await client.createReceiver("plain").peekMessages(1), []);
  },
  async "a deferred message is received by its number"(client) {
    await send(client, "plain", { body: "later" });
    const receiver = client.createReceiver("plain");
    const [message] = await take(receiver);
    await receiver.deferMessage(message);
    await nothing(receiver);
    const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber);
    assert.equal(deferred.body, "later");
    await receiver.completeMessage(deferred);
    await assert.rejects(receiver.receiveDeferredMessages(message.sequenceNumber), { code: "MessageNotFound" });
  },
  async "a scheduled message comes at its time unless it is cancelled"(client) {
    const sender = client.createSender("plain");
    const at = new Date(Date.now() + 1_500);
    const [kept, cancelled] = await sender.scheduleMessages([{ body: "kept" }, { body: "cancelled" }], at);
    assert.ok(kept);
    await sender.cancelScheduledMessages(cancelled);
    const receiver = client.createReceiver("plain");
    const [message] = await take(receiver);
    assert.equal(message.body, "kept");
    assert.ok(Date.now() >= at - 50);
    await receiver.completeMessage(message);
    await nothing(receiver);
  },
  async "each subscription gets what its rule selects"(client) {
    const colors = ["red", "blue"].map((color) => ({ body: color, subject: "order", applicationProperties: { color } }));
    await send(client, "events", ...colors);
    const all = client.createReceiver("events", "all");
    const red = client.createReceiver("events", "red");
    const [both, one] = [await take(all, 2), await take(red, 1)];
    assert.deepEqual([bodies(both), bodies(one)], [["red", "blue"], ["red"]]);
    await finish(all, both);
    await finish(red, one);
  },
  async "rules are added, listed and removed"(client) {
    const rules = client.createRuleManager("events", "all");
    await rules.createRule("large", { sqlExpression: "quantity > 100" }, { sqlExpression: "SET size = 'L'" });
    await rules.createRule("order-1", { correlationId: "order-1", applicationProperties: { n: 1 } });
    const names = [];
    for await (const rule of rules.listRules()) names.push(rule.name);
    assert.deepEqual(names.sort(), ["$Default", "large", "order-1"]);
    await assert.rejects(rules.createRule("wrong", { sqlExpression: "quantity >" }));
    for (const name of ["large", "order-1"]) await rules.deleteRule(name);
  },
  async "receive and delete takes messages at once"(client) {
    await send(client, "plain", { body: 1 }, { body: 2 });
    const receiver = client.createReceiver("plain", { receiveMode: "receiveAndDelete" });
    assert.deepEqual(bodies(await take(receiver, 2)), [1, 2]);
    await nothing(receiver);
  },
  async "an expired message becomes a dead letter"(client) {
    await send(client, "expiring", { body: "x", timeToLive: 500 });
    const dead = deadLetters(client, "expiring");
    const [letter] = await take(dead);
    assert.equal(letter.deadLetterReason, "TTLExpiredException");
    await dead.completeMessage(letter);
  },
  async "a repeated message id is dropped where the queue says so"(client) {
    await send(client, "distinct", { body: 1, messageId: "same" });
    await send(client, "distinct", { body: 2, messageId: "same" });
    const receiver = client.createReceiver("distinct");
    const found = await take(receiver);
    assert.deepEqual(bodies(found), [1]);
    await finish(receiver, found);
    await nothing(receiver);
  },
  async "a queue that forwards hands its messages on"(client) {
    await send(client, "onward", { body: "x" });
    const receiver = client.createReceiver("plain");
    await finish(receiver, await take(receiver));
  },
  async "an entity that does not exist is named as missing"(client) {
    await assert.rejects(send(client, "missing", { body: "x" }), { code: "MessagingEntityNotFound" });
    await assert.rejects(client.createReceiver("missing").receiveMessages(1, patience), { code: "MessagingEntityNotFound" });
  },
  async "a session is delivered in order, keeps a state and has one receiver"(client) {
    for (let body = 0; body < 5; body++) await send(client, "long-sessions", { body, sessionId: "a" });
    const receiver = await client.acceptSession("long-sessions", "a");
    assert.equal(receiver.sessionId, "a");
    const found = await take(receiver, 5);
    assert.deepEqual(bodies(found), [0, 1, 2, 3, 4]);
    assert.equal(await receiver.getSessionState(), null);
    await receiver.setSessionState("kept");
    assert.equal(String(await receiver.getSessionState()), "kept");
    await receiver.renewSessionLock();
    await assert.rejects(client.acceptSession("long-sessions", "a"), { code: "SessionCannotBeLocked" });
    await finish(receiver, found);
    await receiver.setSessionState(null);
    await receiver.close();
  },
  async "the next session is one with messages, and its lock can be lost"(client) {
    await send(client, "sessions", { body: "x", sessionId: "next" });
    const receiver = await client.acceptNextSession("sessions", { maxAutoLockRenewalDurationInMs: 0 });
    assert.equal(receiver.sessionId, "next");
    const [message] = await take(receiver);
    await pause(1_600);
    await assert.rejects(receiver.completeMessage(message), { code: "SessionLockLost" });
    await receiver.close();
    const again = await client.acceptNextSession("sessions");
    await finish(again, await take(again));
    await again.close();
  },
  async "messages are handled as they come, four at a time"(client) {
    await send(client, "plain", ...[...Array(20).keys()].map((body) => ({ body })));
    const seen = new Set();
    await new Promise((resolve, reject) => {
      const handlers = {
        processMessage: async (message) => {
          seen.add(message.body);
          if (seen.size === 20) resolve();
        },
        processError: async ({ error }) => reject(error),
      };
      client.createReceiver("plain").subscribe(handlers, { maxConcurrentCalls: 4 });
    });
    await pause(300);
  },
  async "a wrong key is refused"() {
    const other = new ServiceBusClient(text.replace(/SharedAccessKey=[^;]*/, "SharedAccessKey=wrong"), options);
    await assert.rejects(send(other, "plain", { body: "x" }), { code: "UnauthorizedAccess" });
    await other.close();
  },
};

async function main() {
  let failed = 0;
  for (const [name, scenario] of Object.entries(scenarios)) {
    const client = new ServiceBusClient(text, options);
    try {
      await scenario(client);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}: ${error.stack}`);
    }
    await client.close();
  }
  console.log(`${Object.keys(scenarios).length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
