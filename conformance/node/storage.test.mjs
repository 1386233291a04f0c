// @google-cloud/bigquery-storage against the emulator: reading as Arrow and Avro, writing to streams of every kind.

import assert from 'node:assert/strict';
import {after, before, describe, test} from 'node:test';

import storage from '@google-cloud/bigquery-storage';
import {tableFromIPC} from 'apache-arrow';
import avro from 'avsc';
import {grpc} from 'google-gax';

import {PROJECT, nobody, startEmulator} from './emulator.mjs';

const {BigQueryReadClient, adapt, managedwriter, protos, reader, v1beta2} = storage;
const ROWS = 20_000;
const PARENT = `projects/${PROJECT}`;
const DAY = Date.UTC(2020, 1, 29) / 86_400_000;
const AT = new Date('2020-02-29T01:02:03.004Z');
const DATASET = `${PARENT}/datasets/node`;

let emulator;
let options;
let reads;
let bigquery;
let dataset;

before(async () => {
  emulator = await startEmulator();
  process.env.BIGQUERY_EMULATOR_HOST = emulator.address;
  const {BigQuery} = await import('@google-cloud/bigquery');
  const {hostname, port} = new URL(emulator.address);
  options = {
    projectId: PROJECT,
    apiEndpoint: hostname,
    port: Number(port),
    sslCreds: grpc.credentials.createInsecure(),
  };
  reads = new BigQueryReadClient(options);
  bigquery = new BigQuery({projectId: PROJECT, authClient: nobody()});
  [dataset] = await bigquery.createDataset('node');
  await bigquery.query(
    `CREATE TABLE node.many AS SELECT n AS id, CONCAT('name ', CAST(n AS STRING)) AS name, n / 4 AS share,
       IF(MOD(n, 3) = 0, NULL, n) AS third FROM UNNEST(GENERATE_ARRAY(1, ${ROWS})) AS n ORDER BY n`,
  );
});

after(async () => {
  await reads.close();
  await emulator.stop();
});

const session = (dataFormat, readOptions = {}, counts = {}) =>
  reads
    .createReadSession({
      parent: PARENT,
      readSession: {table: `${DATASET}/tables/many`, dataFormat, readOptions},
      ...counts,
    })
    .then(([made]) => made);

/** The responses of one stream from `offset` on. */
async function responses(name, offset = 0) {
  const all = [];
  for await (const response of reads.readRows({readStream: name, offset})) {
    all.push(response);
  }
  return all;
}

function arrowRows(made, all) {
  const parts = all.map(r => r.arrowRecordBatch.serializedRecordBatch);
  const table = tableFromIPC(Buffer.concat([made.arrowSchema.serializedSchema, ...parts]));
  assert.equal(table.numRows, all.reduce((sum, r) => sum + Number(r.rowCount), 0));
  return table.toArray().map(row => row.toJSON());
}

describe('reading', () => {
  test('as Arrow, from any offset', async () => {
    const made = await session('ARROW', {selectedFields: ['name', 'id']}, {maxStreamCount: 1});
    assert.equal(made.streams.length, 1);
    assert.equal(made.dataFormat, 'ARROW');
    assert.equal(Number(made.estimatedRowCount), ROWS);
    assert.ok(Number(made.expireTime.seconds) > Date.now() / 1000);
    const [{name}] = made.streams;
    const rows = arrowRows(made, await responses(name));
    assert.deepEqual(rows.map(r => Number(r.id)), Array.from({length: ROWS}, (_, i) => i + 1));
    assert.deepEqual(Object.keys(rows[0]), ['id', 'name']);
    const rest = arrowRows(made, await responses(name, ROWS - 3));
    assert.deepEqual(rest.map(r => r.name), [`name ${ROWS - 2}`, `name ${ROWS - 1}`, `name ${ROWS}`]);
    assert.deepEqual(await responses(name, ROWS), []);
    await assert.rejects(responses(name, ROWS + 1), {code: grpc.status.FAILED_PRECONDITION});
  });

  test('with a filter, and split in two', async () => {
    const rowRestriction = 'third IS NOT NULL AND id > 10';
    const made = await session('ARROW', {rowRestriction});
    const expected = Array.from({length: ROWS}, (_, i) => i + 1).filter(n => n % 3 && n > 10);
    const [{name}] = made.streams;
    const found = arrowRows(made, await responses(name));
    assert.deepEqual(found.map(r => Number(r.id)), expected);
    const [halves] = await reads.splitReadStream({name, fraction: 0.5});
    const parts = [];
    for (const part of [halves.primaryStream, halves.remainderStream].filter(Boolean)) {
      parts.push(...arrowRows(made, await responses(part.name)));
    }
    assert.deepEqual(parts.map(r => Number(r.id)), expected);
    await assert.rejects(session('ARROW', {rowRestriction: 'nothing = 1'}), {code: grpc.status.INVALID_ARGUMENT});
  });

  test('as Avro', async () => {
    const made = await session('AVRO', {rowRestriction: 'id <= 1000'});
    const type = avro.Type.forSchema(JSON.parse(made.avroSchema.schema));
    const rows = [];
    for (const response of await responses(made.streams[0].name)) {
      const bytes = response.avroRows.serializedBinaryRows;
      for (let at = 0; at < bytes.length; ) {
        const {value, offset} = type.decode(Buffer.from(bytes), at);
        rows.push(value);
        at = offset;
      }
    }
    assert.equal(rows.length, 1000);
    assert.equal(Number(rows[999].id.long ?? rows[999].id), 1000);
  });

  test("through the client's own readers", async () => {
    const client = new reader.ReadClient(options);
    const table = {projectId: PROJECT, datasetId: 'node', tableId: 'many'};
    const rows = await client.createTableReader({table});
    const [all, info] = await rows.getRows({selectedFields: 'id,name'});
    assert.equal(all.length, ROWS);
    assert.deepEqual(all[2], {f: [{v: 3n}, {v: 'name 3'}]});
    assert.ok(info.name.startsWith(`${PARENT}/locations/`));
    const arrow = await client.createArrowTableReader({table});
    let counted = 0;
    for await (const batch of await arrow.getRecordBatchStream({})) {
      counted += batch.numRows;
    }
    assert.equal(counted, ROWS);
    client.close();
  });

  test('by the older interface', async () => {
    const client = new v1beta2.BigQueryReadClient(options);
    const [made] = await client.createReadSession({
      parent: PARENT,
      readSession: {table: `${DATASET}/tables/many`, dataFormat: 'ARROW'},
    });
    let counted = 0;
    for (const {name} of made.streams) {
      for await (const response of client.readRows({readStream: name})) {
        counted += Number(response.rowCount);
      }
    }
    assert.equal(counted, ROWS);
    await client.close();
  });

  test('of what cannot be read', async () => {
    const open = table => reads.createReadSession({parent: PARENT, readSession: {table, dataFormat: 'ARROW'}});
    await assert.rejects(open(`${DATASET}/tables/nowhere`), {code: grpc.status.NOT_FOUND});
    await dataset.createTable('view', {view: 'SELECT 1 AS a'});
    await assert.rejects(open(`${DATASET}/tables/view`), {code: grpc.status.INVALID_ARGUMENT});
    await dataset.createTable('empty', {schema: 'a:integer'});
    const [made] = await open(`${DATASET}/tables/empty`);
    assert.deepEqual(made.streams, []);
    assert.ok(made.arrowSchema.serializedSchema.length > 0);
  });
});

describe('writing', () => {
  const schema = {
    fields: [
      {name: 'id', type: 'INTEGER', mode: 'REQUIRED'},
      {name: 'name', type: 'STRING'},
      {name: 'share', type: 'FLOAT'},
      {name: 'day', type: 'DATE'},
      {name: 'at', type: 'TIMESTAMP'},
      {name: 'tags', type: 'STRING', mode: 'REPEATED'},
      {name: 'who', type: 'RECORD', fields: [{name: 'first', type: 'STRING'}]},
    ],
  };
  const proto = adapt.convertStorageSchemaToProto2Descriptor(
    adapt.convertBigQuerySchemaToStorageTableSchema(schema),
    'root',
  );
  const rows = (from, to) =>
    Array.from({length: to - from}, (_, i) => ({
      id: from + i,
      name: `row ${from + i}`,
      share: 0.5,
      // Days since 1970, as the protocol has them.
      day: DAY,
      at: AT,
      tags: ['a', 'b'],
      who: {first: 'x'},
    }));
  let writes;
  let made = 0;

  before(() => {
    writes = new managedwriter.WriterClient(options);
  });
  after(() => writes.close());

  async function open(streamType) {
    const [table] = await dataset.createTable(`written${made++}`, {schema});
    const destinationTable = `${DATASET}/tables/${table.id}`;
    const connection = await writes.createStreamConnection({
      destinationTable,
      ...(streamType === managedwriter.DefaultStream
        ? {streamId: managedwriter.DefaultStream}
        : {streamType}),
    });
    const writer = new managedwriter.JSONWriter({connection, protoDescriptor: proto});
    const ids = async () => (await table.getRows())[0].map(r => r.id);
    return {table, connection, writer, ids, destinationTable};
  }

  test('to the default stream', async () => {
    const {writer, ids, table} = await open(managedwriter.DefaultStream);
    const pending = [writer.appendRows(rows(0, 3)), writer.appendRows(rows(3, 5))];
    for (const one of pending) {
      const result = await one.getResult();
      assert.equal(result.error ?? null, null);
    }
    assert.deepEqual((await ids()).sort(), [0, 1, 2, 3, 4]);
    const [[first]] = await table.getRows({maxResults: 1});
    assert.equal(first.day.value, '2020-02-29');
    assert.equal(new Date(first.at.value).getTime(), AT.getTime());
    assert.deepEqual(first.tags, ['a', 'b']);
    assert.deepEqual(first.who, {first: 'x'});
    writer.close();
  });

  test('to a committed stream, with offsets', async () => {
    const {writer, ids, connection} = await open(managedwriter.CommittedStream);
    const first = await writer.appendRows(rows(0, 2), 0).getResult();
    assert.equal(Number(first.appendResult.offset.value), 0);
    await writer.appendRows(rows(2, 4), 2).getResult();
    assert.deepEqual(await ids(), [0, 1, 2, 3]);
    const twice = await writer.appendRows(rows(2, 4), 2).getResult().catch(e => ({error: e}));
    assert.equal(twice.error.code, grpc.status.ALREADY_EXISTS);
    const beyond = await writer.appendRows(rows(9, 10), 9).getResult().catch(e => ({error: e}));
    assert.equal(beyond.error.code, grpc.status.OUT_OF_RANGE);
    const finalized = await connection.finalize();
    assert.equal(Number(finalized.rowCount), 4);
    writer.close();
  });

  test('to pending streams, which appear together', async () => {
    const {writer, ids, connection, destinationTable} = await open(managedwriter.PendingStream);
    await writer.appendRows(rows(0, 2), 0).getResult();
    const name = connection.getStreamId();
    const stream = await writes.getWriteStream({streamId: name, view: 'FULL'});
    assert.equal(stream.type, 'PENDING');
    assert.equal(stream.tableSchema.fields.length, schema.fields.length);
    assert.deepEqual(await ids(), []);
    await connection.finalize();
    const committed = await writes.batchCommitWriteStream({parent: destinationTable, writeStreams: [name]});
    assert.deepEqual(committed.streamErrors, []);
    assert.ok(Number(committed.commitTime.seconds) > 0);
    assert.deepEqual(await ids(), [0, 1]);
    writer.close();
  });

  test('to a buffered stream, as far as it is flushed', async () => {
    const {writer, ids, connection} = await open(managedwriter.BufferedStream);
    await writer.appendRows(rows(0, 5), 0).getResult();
    assert.deepEqual(await ids(), []);
    const flushed = await connection.flushRows({offset: 2});
    assert.equal(Number(flushed.offset), 2);
    assert.deepEqual(await ids(), [0, 1, 2]);
    writer.close();
  });

  test('of rows that do not fit', async () => {
    const {writer, ids} = await open(managedwriter.DefaultStream);
    const wrong = [{...rows(0, 1)[0], day: 99_999_999}, rows(1, 2)[0]];
    const result = await Promise.resolve()
      .then(() => writer.appendRows(wrong).getResult())
      .catch(error => ({error}));
    assert.ok(result.error || result.rowErrors?.length, JSON.stringify(result));
    assert.deepEqual(await ids(), []);
    writer.close();
  });

  test('after a column was added', async () => {
    const {table, writer, connection} = await open(managedwriter.DefaultStream);
    await writer.appendRows(rows(0, 1)).getResult();
    const updated = new Promise(resolve => connection.onSchemaUpdated(resolve));
    await table.setMetadata({schema: {fields: [...schema.fields, {name: 'extra', type: 'STRING'}]}});
    const deadline = Date.now() + 10_000;
    let told;
    void updated.then(found => (told = found));
    while (!told && Date.now() < deadline) {
      await writer.appendRows(rows(1, 2)).getResult();
    }
    assert.ok(told.fields.some(f => f.name === 'extra'));
    await writer.appendRows([{...rows(2, 3)[0], extra: 'new'}]).getResult();
    const [all] = await table.getRows();
    assert.equal(all.at(-1).extra, 'new');
    writer.close();
  });

  test('by streams of the raw client', async () => {
    const [table] = await dataset.createTable('raw', {schema});
    const client = writes.getClient();
    const [stream] = await client.createWriteStream({
      parent: `${DATASET}/tables/${table.id}`,
      writeStream: {type: protos.google.cloud.bigquery.storage.v1.WriteStream.Type.COMMITTED},
    });
    assert.ok(stream.commitTime && stream.createTime);
    await assert.rejects(
      client.createWriteStream({parent: `${DATASET}/tables/nowhere`, writeStream: {type: 'COMMITTED'}}),
      {code: grpc.status.PERMISSION_DENIED},
    );
  });
});
