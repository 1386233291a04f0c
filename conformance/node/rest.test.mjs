// @google-cloud/bigquery against the emulator: the client is turned to it by BIGQUERY_EMULATOR_HOST alone.

import assert from 'node:assert/strict';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';

import {PROJECT, nobody, startEmulator} from './emulator.mjs';

let emulator;
let BigQuery;
let bigquery;
let dataset;
let scratch;

before(async () => {
  emulator = await startEmulator();
  // Read when the client is made.
  process.env.BIGQUERY_EMULATOR_HOST = emulator.address;
  ({BigQuery} = await import('@google-cloud/bigquery'));
  bigquery = new BigQuery({projectId: PROJECT, authClient: nobody()});
  [dataset] = await bigquery.createDataset('node', {location: 'EU', labels: {team: 'a'}});
  scratch = mkdtempSync(join(tmpdir(), 'millpond-node-files-'));
});

after(async () => {
  rmSync(scratch, {recursive: true, force: true});
  await emulator.stop();
});

async function refused(call, code, reason) {
  const error = await call.then(
    () => assert.fail('was not refused'),
    error => error,
  );
  assert.equal(error.code, code, error.message);
  assert.equal(error.errors[0].reason, reason, error.message);
  return error;
}

describe('datasets', () => {
  test('are described, labelled, listed by label and removed', async () => {
    const [made] = await bigquery.createDataset('labelled', {
      labels: {team: 'b', old: 'yes'},
      description: 'one',
      defaultTableExpirationMs: '3600000',
    });
    assert.equal(made.metadata.datasetReference.projectId, PROJECT);
    assert.equal((await made.exists())[0], true);
    await made.setMetadata({description: 'two', labels: {old: null, new: 'x'}});
    const [metadata] = await made.getMetadata();
    assert.equal(metadata.description, 'two');
    assert.deepEqual(metadata.labels, {team: 'b', new: 'x'});
    assert.equal(metadata.defaultTableExpirationMs, '3600000');
    assert.ok(metadata.etag && metadata.creationTime && metadata.lastModifiedTime);
    const [table] = await made.createTable('t', {schema: 'a:integer'});
    assert.ok(Number(table.metadata.expirationTime) > Date.now());

    const [all] = await bigquery.getDatasets();
    assert.deepEqual(all.map(d => d.id).sort(), ['labelled', 'node']);
    const [some] = await bigquery.getDatasets({filter: 'labels.team:b'});
    assert.deepEqual(some.map(d => d.id), ['labelled']);
    const [first] = await bigquery.getDatasets({maxResults: 1, autoPaginate: false});
    assert.equal(first.length, 1);

    await refused(made.delete(), 400, 'resourceInUse');
    await made.delete({force: true});
    assert.equal((await made.exists())[0], false);
    await refused(made.getMetadata(), 404, 'notFound');
    await refused(bigquery.createDataset('node'), 409, 'duplicate');
    const [again] = await bigquery.dataset('made_when_missing').get({autoCreate: true});
    assert.equal(again.id, 'made_when_missing');
    await again.delete();
  });

  test('have no models and no routines', async () => {
    assert.deepEqual((await dataset.getModels())[0], []);
    assert.deepEqual((await dataset.getRoutines())[0], []);
    assert.equal((await dataset.model('m').exists())[0], false);
    assert.equal((await dataset.routine('r').exists())[0], false);
  });
});

describe('tables', () => {
  test('are made, changed, listed and removed', async () => {
    const [table] = await dataset.createTable('described', {
      schema: {
        fields: [
          {name: 'id', type: 'INTEGER', mode: 'REQUIRED'},
          {name: 'day', type: 'DATE'},
          {name: 'who', type: 'RECORD', fields: [{name: 'name', type: 'STRING'}]},
        ],
      },
      timePartitioning: {type: 'DAY', field: 'day'},
      clustering: {fields: ['id']},
      labels: {a: '1', b: '2'},
      friendlyName: 'A table',
    });
    assert.equal(table.metadata.location, 'EU');
    const fewer = table.setMetadata({schema: {fields: [{name: 'id', type: 'INTEGER', mode: 'REQUIRED'}]}});
    await refused(fewer, 400, 'invalid');
    const [{schema: known}] = await table.getMetadata();
    const fields = [...known.fields, {name: 'extra', type: 'STRING'}];
    await table.setMetadata({description: 'more', labels: {a: null}, schema: {fields}});
    const [metadata] = await table.getMetadata();
    assert.deepEqual(metadata.labels, {b: '2'});
    assert.equal(metadata.description, 'more');
    assert.deepEqual(metadata.schema.fields.map(f => f.name), ['id', 'day', 'who', 'extra']);
    assert.equal(metadata.numRows, '0');
    assert.equal(metadata.type, 'TABLE');

    const [view] = await dataset.createTable('seen', {view: 'SELECT id, day FROM `node.described`'});
    assert.equal(view.metadata.type, 'VIEW');
    assert.deepEqual(view.metadata.schema.fields.map(f => f.name), ['id', 'day']);
    const [tables] = await dataset.getTables();
    const listed = Object.fromEntries(tables.map(t => [t.id, t.metadata]));
    assert.deepEqual(listed.described.timePartitioning, {type: 'DAY', field: 'day'});
    assert.deepEqual(listed.described.labels, {b: '2'});
    assert.equal(listed.seen.type, 'VIEW');
    assert.equal(listed.seen.view.useLegacySql, false);
    await view.delete();
    await table.delete();
    assert.equal((await table.exists())[0], false);
    await refused(table.delete(), 404, 'notFound');
    await table.delete({ignoreNotFound: true});
    await refused(dataset.createTable('x', {schema: 'a:nonsense'}), 400, 'invalid');
  });

  test('have policies that are kept', async () => {
    const [table] = await dataset.createTable('guarded', {schema: 'a:string'});
    const [none] = await table.getIamPolicy();
    assert.equal(none.bindings ?? null, null);
    const bindings = [{role: 'roles/bigquery.dataViewer', members: ['domain:example.com']}];
    await table.setIamPolicy({bindings});
    const [policy] = await table.getIamPolicy();
    assert.deepEqual(policy.bindings, bindings);
    assert.notEqual(policy.etag, none.etag);
    await refused(table.setIamPolicy({bindings: [], etag: none.etag}), 409, 'aborted');
    const asked = ['bigquery.tables.get', 'bigquery.tables.getData'];
    const [allowed] = await table.testIamPermissions(asked);
    assert.deepEqual(allowed.permissions, asked);
  });

  test('take rows, all of them or none', async () => {
    const [table] = await dataset.createTable('streamed', {
      schema: 'id:integer,name:string,at:timestamp,raw:bytes,score:float,tags:string',
    });
    const at = BigQuery.timestamp('2020-01-02T03:04:05.678901Z');
    await table.insert([
      {id: 1, name: 'one', at, raw: Buffer.from('ä'), score: 0.5},
      {id: 2, name: null},
    ]);
    const [rows] = await table.getRows();
    assert.deepEqual(rows[0].at, at);
    assert.deepEqual(rows[0].raw, Buffer.from('ä'));
    assert.deepEqual(rows[1], {id: 2, name: null, at: null, raw: null, score: null, tags: null});

    const failed = await table.insert([{id: 3}, {id: 'x'}], {partialRetries: 0}).catch(e => e);
    assert.equal(failed.name, 'PartialFailureError');
    assert.deepEqual(failed.errors.map(e => e.errors[0].reason).sort(), ['invalid', 'stopped']);
    await table.insert([{id: 3, unknown: 1}], {ignoreUnknownValues: true});
    const raw = [{insertId: 'a', json: {id: 4}}];
    await table.insert(raw, {raw: true});
    const [some, , answer] = await table.getRows({maxResults: 1, startIndex: '2', selectedFields: 'id,name', autoPaginate: false});
    assert.deepEqual(some, [{id: 3, name: null}]);
    assert.equal(answer.totalRows, '4');
    await refused(dataset.table('missing').insert([{a: 1}]), 404, 'notFound');
    const seen = [];
    for await (const row of table.createReadStream()) {
      seen.push(row.id);
    }
    assert.deepEqual(seen, [1, 2, 3, 4]);
  });
});

describe('queries', () => {
  test('take parameters of every type, by place and by name', async () => {
    const values = [
      [7, 'INT64'], [0.25, 'FLOAT64'], ['tëxt', 'STRING'], [true, 'BOOL'],
      [BigQuery.date('2020-02-29'), 'DATE'],
      [BigQuery.datetime('2020-02-29T01:02:03.000004'), 'DATETIME'],
      [BigQuery.time('01:02:03.000004'), 'TIME'],
      [BigQuery.timestamp('2020-02-29T01:02:03.000004Z'), 'TIMESTAMP'],
    ];
    const columns = values.map((_, i) => `? AS c${i}`).join(', ');
    const [[row]] = await bigquery.query({query: `SELECT ${columns}`, params: values.map(v => v[0])});
    values.forEach(([value], i) => assert.deepEqual(row[`c${i}`], value, values[i][1]));
    for (const [value, type] of values) {
      const [[one]] = await bigquery.query({query: 'SELECT @it AS it', params: {it: value}});
      assert.deepEqual(one.it, value, type);
      const [[none]] = await bigquery.query({query: 'SELECT @it AS it', params: {it: null}, types: {it: type}});
      assert.equal(none.it, null, type);
      const [[many]] = await bigquery.query({query: 'SELECT @it AS it', params: {it: [value, value]}});
      assert.deepEqual(many.it, [value, value], type);
    }
    const [[numbers]] = await bigquery.query({
      query: 'SELECT @n AS n, @b AS b, @j AS j, @e AS e, @s.x AS x, @s AS s, @r AS r',
      params: {
        n: '1.5', b: '123456789012345678901234567890.5', j: {a: [1]}, e: [], s: {x: 1, y: 'z'},
        // A buffer is not made into base64 by the client.
        r: Buffer.from([0, 255]).toString('base64'),
      },
      types: {
        n: 'NUMERIC', b: 'BIGNUMERIC', j: 'JSON', e: ['INT64'], s: {x: 'INT64', y: 'STRING'}, r: 'BYTES',
      },
    });
    assert.deepEqual(numbers.r, Buffer.from([0, 255]));
    assert.equal(numbers.n.toString(), '1.5');
    assert.equal(numbers.b.toFixed(), '123456789012345678901234567890.5');
    assert.deepEqual(JSON.parse(numbers.j), {a: [1]});
    assert.deepEqual(numbers.e, []);
    assert.equal(numbers.x, 1);
    assert.deepEqual(numbers.s, {x: 1, y: 'z'});
    const range = BigQuery.range('[2020-01-01, 2020-12-31)', 'DATE');
    const [[ranged]] = await bigquery.query({query: 'SELECT ? AS r', params: [range]});
    assert.equal(ranged.r.value.start.value ?? ranged.r.value.start, '2020-01-01');
  });

  test('have large integers on demand', async () => {
    const [[row]] = await bigquery.query({query: 'SELECT 9007199254740993 AS big', wrapIntegers: true});
    assert.equal(row.big.value, '9007199254740993');
  });

  test('give their rows page by page, and as a stream', async () => {
    const query = 'SELECT n FROM UNNEST(GENERATE_ARRAY(1, 25)) AS n ORDER BY n';
    const expected = Array.from({length: 25}, (_, i) => i + 1);
    const [rows] = await bigquery.query({query, maxResults: 10});
    assert.deepEqual(rows.map(r => r.n), expected);
    const streamed = [];
    for await (const row of bigquery.createQueryStream(query)) {
      streamed.push(row.n);
    }
    assert.deepEqual(streamed, expected);

    const [job] = await bigquery.createQueryJob({query, location: 'EU', labels: {who: 'node'}});
    const [first, next] = await job.getQueryResults({maxResults: 10, autoPaginate: false});
    assert.equal(first.length, 10);
    const [second] = await job.getQueryResults({...next, autoPaginate: false});
    assert.equal(second[0].n, 11);
    const [metadata] = await job.getMetadata();
    assert.equal(metadata.status.state, 'DONE');
    assert.equal(metadata.configuration.labels.who, 'node');
    assert.equal(metadata.jobReference.location, 'EU');
    assert.equal(metadata.statistics.query.statementType, 'SELECT');
    const fields = {fields: 'jobReference/jobId,status'};
    const answer = await new Promise((resolve, reject) =>
      bigquery.request({uri: `/jobs/${job.id}`, qs: fields}, (e, body) => (e ? reject(e) : resolve(body))));
    assert.deepEqual(answer, {jobReference: {jobId: job.id}, status: {state: 'DONE'}});
  });

  test('are tried out, written to tables, and refused', async () => {
    const [dry] = await bigquery.createQueryJob({query: 'SELECT 1 AS a', dryRun: true});
    assert.equal(dry.metadata.statistics.totalBytesProcessed, '0');
    assert.deepEqual(dry.metadata.statistics.query.schema.fields.map(f => f.name), ['a']);
    const destination = dataset.table('result');
    const query = 'SELECT 1 AS a UNION ALL SELECT 2';
    const [job] = await bigquery.createQueryJob({query, destination, writeDisposition: 'WRITE_TRUNCATE'});
    await job.promise();
    assert.equal((await destination.getRows())[0].length, 2);
    const error = await refused(bigquery.query('SELECT nothing FROM `node.result`'), 400, 'invalidQuery');
    assert.match(error.message, /nothing/);
    await refused(bigquery.query('SELECT * FROM `node.nowhere`'), 404, 'notFound');
    await refused(bigquery.query({query: 'SELECT 1', params: [1]}).then(() => bigquery.query('')), 400, 'invalid');
    await dataset.query('CREATE TABLE made (a INT64, b STRING)');
    const [, , inserted] = await bigquery.query({
      query: 'INSERT INTO `node.made` (a, b) VALUES (@a, @b)',
      params: {a: 1, b: 'x'},
    }, {autoPaginate: false});
    assert.equal(inserted.numDmlAffectedRows, '1');
    assert.deepEqual((await dataset.query('SELECT * FROM made'))[0], [{a: 1, b: 'x'}]);
  });
});

describe('jobs', () => {
  test('load files of every form', async () => {
    const json = join(scratch, 'rows.json');
    writeFileSync(json, '{"a": 1, "b": "x"}\n{"a": 2}\n');
    const table = dataset.table('loaded');
    const [job] = await table.load(json, {schema: 'a:integer,b:string', writeDisposition: 'WRITE_TRUNCATE'});
    assert.equal(job.statistics.load.outputRows, '2');
    const csv = join(scratch, 'rows.csv');
    writeFileSync(csv, 'a,b\n3,y\n');
    await table.load(csv, {skipLeadingRows: 1, sourceFormat: 'CSV'});
    const stream = table.createWriteStream({sourceFormat: 'NEWLINE_DELIMITED_JSON'});
    const done = new Promise((resolve, reject) => stream.on('complete', resolve).on('error', reject));
    stream.end('{"a": 4}\n');
    await done;
    const [rows] = await table.getRows();
    assert.deepEqual(rows.map(r => r.a), [1, 2, 3, 4]);
    writeFileSync(csv, '1,2,3,4\n');
    await assert.rejects(table.load(csv, {sourceFormat: 'CSV'}));
  });

  test('copy tables', async () => {
    const [from] = await dataset.createTable('from', {schema: 'a:integer'});
    await from.insert([{a: 1}]);
    const to = dataset.table('to');
    const [job] = await from.createCopyJob(to);
    await job.promise();
    assert.equal((await to.getRows())[0].length, 1);
    const [, failed] = await to.createCopyFromJob([from, from], {writeDisposition: 'WRITE_APPEND'});
    assert.equal(failed.status.state, 'DONE');
    assert.equal((await to.getRows())[0].length, 3);
  });

  test('are listed, cancelled and forgotten', async () => {
    const jobId = `mine-${Date.now()}`;
    const [job] = await bigquery.createQueryJob({query: 'SELECT 1', jobId});
    assert.equal(job.id, jobId);
    await refused(bigquery.createQueryJob({query: 'SELECT 1', jobId}), 409, 'duplicate');
    const [cancelled] = await job.cancel();
    assert.equal(cancelled.job.status.state, 'DONE');
    const [all] = await bigquery.getJobs({stateFilter: ['done', 'running'], projection: 'full'});
    assert.ok(all.some(j => j.id === jobId && j.metadata.configuration.query));
    const [running] = await bigquery.getJobs({stateFilter: ['running', 'pending']});
    assert.deepEqual(running, []);
    const [brief] = await bigquery.getJobs({maxResults: 1, autoPaginate: false});
    assert.equal(brief[0].metadata.configuration, undefined);
    const [later] = await bigquery.getJobs({minCreationTime: String(Date.now() + 60_000)});
    assert.deepEqual(later, []);
    await job.delete();
    assert.equal((await job.exists())[0], false);
  });
});
