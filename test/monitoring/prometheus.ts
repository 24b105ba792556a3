import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { whileTemporaryDirectory } from '../harness/temporary.ts';
import { freePort } from '../vm/libvirt/domain.ts';
import { running, sleep, until } from '../wire/support/until.ts';

/** A machine with node_exporter. */
export interface Target {
  /** The label `instance`. */
  name: string;
  job: string;
}

/** A series of an instant query with its present value. */
export interface Sample {
  metric: Record<string, string>;
  value: [time: number, value: string];
}

export interface FiringAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: 'pending' | 'firing';
}

/** A real Prometheus that scrapes a real node_exporter on each target every second. */
export interface Monitoring {
  /** Replaces the metrics of a target as the agent does; undefined removes the file. */
  write: (target: string, text: string | undefined) => void;
  /** Evaluates an expression now. */
  query: (expr: string) => Promise<Sample[]>;
  /** Returns the values of a label, as Grafana's label_values(metric, label). */
  labelValues: (metric: string, label: string) => Promise<string[]>;
  /** Returns the alerts that fire. */
  alerts: () => Promise<FiringAlert[]>;
}

/** Calls `work` with a Prometheus. @param rules the content of its rule file */
export async function withPrometheus(
  targets: readonly Target[],
  rules: string,
  work: (monitoring: Monitoring) => Promise<void>,
): Promise<void> {
  await whileTemporaryDirectory(async (folder) => {
    const ended: (() => Promise<void>)[] = [];
    try {
      const scraped = [];
      for (const target of targets) {
        fs.mkdirSync(folderOf(folder, target.name));
        const address = `127.0.0.1:${await freePort()}`;
        ended.push(
          start('prometheus-node-exporter', exporterArguments(folderOf(folder, target.name), address)),
        );
        scraped.push({ ...target, address });
      }
      fs.writeFileSync(path.join(folder, 'rules.yml'), rules);
      // Prometheus reads YAML, of which JSON is a subset.
      fs.writeFileSync(path.join(folder, 'prometheus.yml'), JSON.stringify(configuration(scraped)));
      const address = `127.0.0.1:${await freePort()}`;
      ended.push(start('prometheus', serverArguments(folder, address)));
      const api = apiOf(`http://${address}`);
      await until('Prometheus scrapes every target', async () => {
        const up = await api.query('up == 1').catch(() => []);
        return up.length === targets.length;
      });
      const write: Monitoring['write'] = (name, text) => replace(folderOf(folder, name), text);
      await work({ write, ...api });
    } finally {
      await Promise.all(ended.map((end) => end()));
    }
  });
}

const folderOf = (folder: string, target: string) => path.join(folder, `metrics-${target}`);

function exporterArguments(folder: string, address: string): string[] {
  const only = ['--collector.disable-defaults', '--collector.textfile', '--web.disable-exporter-metrics'];
  return [...only, `--collector.textfile.directory=${folder}`, `--web.listen-address=${address}`];
}

function serverArguments(folder: string, address: string): string[] {
  return [
    `--config.file=${path.join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${path.join(folder, 'data')}`,
    `--web.listen-address=${address}`,
  ];
}

function configuration(targets: readonly (Target & { address: string })[]): unknown {
  const jobs = [...new Set(targets.map(({ job }) => job))];
  return {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ['rules.yml'],
    scrape_configs: jobs.map((job) => ({
      job_name: job,
      static_configs: targets
        .filter((each) => each.job === job)
        .map(({ name, address }) => ({ targets: [address], labels: { instance: name } })),
    })),
  };
}

/** Starts a program. It also ends with this process. @returns a function that ends it */
function start(name: string, args: readonly string[]): () => Promise<void> {
  const program = execa(name, args, { all: true, reject: false, stdin: 'ignore' });
  let text = '';
  program.all.on('data', (chunk: Buffer) => void (text = (text + chunk.toString()).slice(-10_000)));
  const entry = { name, output: () => text };
  running.add(entry);
  return async () => {
    program.kill('SIGKILL');
    await program;
    running.delete(entry);
  };
}

function replace(folder: string, text: string | undefined): void {
  const file = path.join(folder, 'immutafs.prom');
  if (text === undefined) fs.rmSync(file, { force: true });
  else {
    fs.writeFileSync(`${file}.new`, text);
    fs.renameSync(`${file}.new`, file);
  }
}

function apiOf(server: string): Omit<Monitoring, 'write'> {
  const get = async <T>(place: string, parameters: Record<string, string> = {}): Promise<T> => {
    const response = await fetch(`${server}/api/v1/${place}?${new URLSearchParams(parameters).toString()}`);
    const answer = (await response.json()) as { status: string; error?: string; data: T };
    if (answer.status !== 'success')
      throw new Error(`${place} ${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  };
  return {
    query: async (expr) => (await get<{ result: Sample[] }>('query', { query: expr })).result,
    labelValues: (metric, label) => get(`label/${label}/values`, { 'match[]': metric }),
    alerts: async () => {
      const { alerts } = await get<{ alerts: FiringAlert[] }>('alerts');
      return alerts.filter(({ state }) => state === 'firing');
    },
  };
}

export { sleep, until };
