/** For tests in a browser: the hub server, and beside it a server by which a test arranges what the hub does. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';
import { type Fault, type HubOptions, startHub } from '../support/hub-server.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Speaks the hub's paths. */
    hubUrl: string;
    /** `POST /` with {@link Arrangement}: arranges, and answers with the requests since the last time. `PUT /path`: a file. */
    hubControl: string;
  }
}

export interface Arrangement {
  options?: HubOptions;
  faults?: Fault[];
  /** Paths of files to forget. */
  remove?: string[];
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const hub = await startHub();
  const control = createServer(async (request, response) => {
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Allow-Methods', 'POST, PUT');
    if (request.method === 'PUT') {
      hub.files.set(request.url!, await bodyOf(request));
    } else if (request.method === 'POST') {
      const arrangement = JSON.parse((await bodyOf(request)).toString()) as Arrangement;
      hub.breakConnections();
      hub.options = { ...arrangement.options, crossOrigin: true };
      hub.faults.splice(0, Infinity, ...(arrangement.faults ?? []));
      for (const path of arrangement.remove ?? []) hub.files.delete(path);
      response.write(JSON.stringify(hub.requests.splice(0)));
    }
    response.end();
  });
  await new Promise<void>((resolve) => control.listen(0, '127.0.0.1', resolve));
  project.provide('hubUrl', hub.url);
  project.provide('hubControl', `http://127.0.0.1:${(control.address() as AddressInfo).port}`);
  return async () => {
    control.closeAllConnections();
    await new Promise((resolve) => control.close(resolve));
    await hub.close();
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
