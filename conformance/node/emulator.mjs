// Starts the emulator of MILLPOND_BIN on a directory of its own, and stops it again.

import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';

import {OAuth2Client} from 'google-auth-library';

export const PROJECT = 'millpond-conformance';

export async function startEmulator() {
  const data = mkdtempSync(join(tmpdir(), 'millpond-node-'));
  const child = spawn(process.env.MILLPOND_BIN, ['emulator', '--data', data, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const address = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', code => reject(new Error(`the emulator ended with code ${code}`)));
    createInterface({input: child.stdout}).on('line', line => {
      const found = line.match(/http:\/\/\S+/);
      if (found) {
        resolve(found[0]);
      }
    });
  });
  const stop = () =>
    new Promise(resolve => {
      child.removeAllListeners('exit');
      child.on('exit', () => {
        rmSync(data, {recursive: true, force: true});
        resolve();
      });
      child.kill();
    });
  return {address, stop};
}

/** Credentials of nobody; without any, the clients look for some. */
export function nobody() {
  const client = new OAuth2Client();
  client.setCredentials({access_token: 'none', expiry_date: Date.now() + 3_600_000});
  return client;
}
