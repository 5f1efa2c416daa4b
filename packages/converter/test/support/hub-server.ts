/** A server on this machine that speaks the hub's paths, with its redirect, its headers and ranges, and the faults a test asks for. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with one request for a file's bytes. */
export type Fault =
  /** The connection breaks after so many bytes of the answer. */
  | { cutAfter: number }
  /** Nothing more comes after so many bytes, and the connection stays open. */
  | { stallAfter: number }
  | { status: number }
  /** Ranges are ignored: the whole file is sent. */
  | { ignoreRange: true };

export interface HubOptions {
  /** Left out of the redirect: headers as a mirror without large file storage would send them. */
  withoutHash?: boolean;
  /** States this SHA-256 instead of the right one. */
  wrongHash?: string;
  /** The list of files of `api/models/…/tree/main`. */
  listing?: boolean;
  /** Lets pages of other origins read the answers, as the hub does. */
  crossOrigin?: boolean;
}

export interface HubServer {
  readonly url: string;
  /** Method, path and range of every request, in order. */
  readonly requests: string[];
  /** Taken one by one by the requests for bytes. */
  readonly faults: Fault[];
  options: HubOptions;
  /** Files by path, such as '/timm/x/resolve/main/model.safetensors'; those with '/resolve/' answer with a redirect. */
  readonly files: Map<string, Uint8Array>;
  /** Ends all answers that are under way, stalled ones among them. */
  breakConnections(): void;
  close(): Promise<void>;
}

/** What the hub lets pages see of its answers; a redirect's headers they never see. */
const EXPOSED = 'ETag, Link, Accept-Ranges, Content-Range, X-Linked-Size, X-Linked-ETag';

export async function startHub(): Promise<HubServer> {
  const files = new Map<string, Uint8Array>();
  const requests: string[] = [];
  const faults: Fault[] = [];
  const hub: { options: HubOptions } = { options: {} };
  const server = createServer((request, response) => {
    requests.push([request.method, request.url, request.headers.range].filter(Boolean).join(' '));
    answer(request, response);
  });

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url!;
    if (hub.options.crossOrigin) {
      response.setHeader('Access-Control-Allow-Origin', '*');
      response.setHeader('Access-Control-Expose-Headers', EXPOSED);
    }
    if (hub.options.listing && path.startsWith('/api/models/')) {
      const list = [...files].map(([file, bytes]) => ({
        type: 'file',
        path: file.split('/').at(-1),
        size: bytes.length,
        lfs: { oid: sha256(bytes), size: bytes.length },
      }));
      response.end(JSON.stringify(list));
      return;
    }
    const isStored = path.startsWith('/stored/');
    const file = files.get(isStored ? path.slice('/stored'.length) : path);
    if (!file) {
      response.writeHead(404).end('Entry not found');
    } else if (path.includes('/resolve/') && !isStored) {
      const { withoutHash, wrongHash } = hub.options;
      const hash = { 'X-Linked-Etag': `"${wrongHash ?? sha256(file)}"`, 'X-Linked-Size': file.length };
      response.writeHead(302, { Location: `/stored${path}`, ...(withoutHash ? {} : hash) }).end();
    } else {
      sendFile(request, response, file, faults.shift());
    }
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(hub, {
    url: `http://127.0.0.1:${port}`,
    requests,
    faults,
    files,
    breakConnections: () => server.closeAllConnections(),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function sendFile(request: IncomingMessage, response: ServerResponse, file: Uint8Array, fault?: Fault): void {
  if (fault && 'status' in fault) {
    response.writeHead(fault.status).end('fault');
    return;
  }
  const [, first] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  const ranged = first !== undefined && !(fault && 'ignoreRange' in fault);
  const start = ranged ? Number(first) : 0;
  if (start >= file.length) {
    response.writeHead(416, { 'Content-Range': `bytes */${file.length}` }).end();
    return;
  }
  const body = file.subarray(start);
  response.writeHead(ranged ? 206 : 200, {
    ETag: `"${createHash('md5').update(file).digest('hex')}"`,
    'Content-Length': body.length,
    ...(ranged ? { 'Content-Range': `bytes ${start}-${file.length - 1}/${file.length}` } : {}),
  });
  if (fault && 'cutAfter' in fault) {
    response.write(body.subarray(0, fault.cutAfter), () => setTimeout(() => response.destroy(), 30));
  } else if (fault && 'stallAfter' in fault) {
    response.write(body.subarray(0, fault.stallAfter));
  } else {
    response.end(body);
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
