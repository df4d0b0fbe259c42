// The Debian package: a directory tree from the executable, the files of deploy/ and generated pages, packed by dpkg-deb.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import about from '../../package.json' with { type: 'json' };
import { exampleText } from './example.ts';
import { buildExecutable } from './executable.ts';
import { manPages } from './man.ts';

const root = join(import.meta.dirname, '../..');

/** Builds `DIRECTORY/ollama-ha_VERSION_ARCH.deb` and returns its path. `compression`: what dpkg-deb -Z takes, xz for a release. */
export async function buildPackage(directory: string, compression: 'xz' | 'zstd' | 'none' = 'xz'): Promise<string> {
  const tree = join(directory, 'tree');
  rmSync(tree, { recursive: true, force: true });
  const { packages } = await buildExecutable(directory);
  place(tree, join(directory, 'ollama-ha'), 'usr/lib/ollama-ha/ollama-ha', 0o755);
  link(tree, '../lib/ollama-ha/ollama-ha', 'usr/bin/agentctl');
  link(tree, '../lib/ollama-ha/ollama-ha', 'usr/bin/ollama-ha-agent');
  placeDeployed(tree);
  await placeGenerated(tree, packages);
  placeControl(tree);
  const arch = dpkgArchitecture();
  const file = join(directory, `ollama-ha_${about.version}_${arch}.deb`);
  const level = compression === 'none' ? [] : [`-z${compression === 'xz' ? 3 : 1}`];
  execFileSync('dpkg-deb', ['--root-owner-group', `-Z${compression}`, ...level, '--build', tree, file], { stdio: 'pipe' });
  rmSync(tree, { recursive: true });
  return file;
}

/** Files that are shipped as they are. */
function placeDeployed(tree: string): void {
  const deployed = (path: string) => join(root, 'deploy', path);
  for (const unit of ['ollama-ha-agent.service', 'ollama-ha-fence.service'])
    place(tree, deployed(`systemd/${unit}`), `lib/systemd/system/${unit}`);
  place(tree, deployed('tmpfiles/ollama-ha.conf'), 'usr/lib/tmpfiles.d/ollama-ha.conf');
  place(tree, deployed('deb/lintian-overrides'), 'usr/share/lintian/overrides/ollama-ha');
  place(tree, deployed('keepalived/vip-deadline'), 'usr/libexec/ollama-ha/vip-deadline', 0o755);
  const doc = 'usr/share/doc/ollama-ha';
  place(tree, deployed('systemd/keepalived.service.d/ollama-ha.conf'), `${doc}/examples/keepalived.service.d/ollama-ha.conf`);
  place(tree, deployed('systemd/ollama-ha-agent.service.d/nginx.conf'), `${doc}/examples/ollama-ha-agent.service.d/nginx.conf`);
  place(tree, deployed('nftables/ollama-ha-fence.nft'), `${doc}/examples/ollama-ha-fence.nft`);
  // What other parts of deploy/ hold for operators comes along as examples.
  for (const name of ['compose', 'nginx', 'haproxy', 'prometheus', 'grafana'])
    for (const file of filesBelow(deployed(name))) place(tree, join(deployed(name), file), `${doc}/examples/${name}/${file}`);
  for (const page of globSync('docs/*.md', { cwd: root })) place(tree, join(root, page), `${doc}/${basename(page)}`);
}

function filesBelow(directory: string): readonly string[] {
  return globSync('**', { cwd: directory }).filter((file) => lstatSync(join(directory, file)).isFile());
}

/** Pages, completions, the default configuration and the papers. */
async function placeGenerated(tree: string, packages: readonly string[]): Promise<void> {
  for (const [name, text] of await manPages(about.version)) {
    write(tree, `usr/share/man/man${name.split('.').at(-1)}/${name}.gz`, gzipSync(text, { level: 9 }));
  }
  for (const [shell, path] of completions) {
    write(tree, path, execFileSync(join(tree, 'usr/bin/agentctl'), ['completion', shell], { encoding: 'utf8' }));
  }
  write(tree, 'etc/ollama-ha/agent.yaml.example', exampleText());
  const doc = 'usr/share/doc/ollama-ha';
  const date = new Date(Number(process.env.SOURCE_DATE_EPOCH ?? Date.now() / 1000) * 1000).toUTCString().replace('GMT', '+0000');
  const changelog = `ollama-ha (${about.version}) stable; urgency=medium\n\n  * Release ${about.version}.\n\n -- ollama-ha maintainers <ollama-ha@users.noreply.github.com>  ${date}\n`;
  write(tree, `${doc}/changelog.gz`, gzipSync(changelog, { level: 9 }));
  write(tree, `${doc}/copyright`, copyright);
  write(tree, `${doc}/third-party-licenses.gz`, gzipSync(packages.map(licenceOf).join('\n'), { level: 9 }));
}

const completions = [
  ['bash', 'usr/share/bash-completion/completions/agentctl'],
  ['zsh', 'usr/share/zsh/vendor-completions/_agentctl'],
  ['fish', 'usr/share/fish/vendor_completions.d/agentctl.fish'],
] as const;

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ollama-ha

Files: *
Copyright: 2026 the authors of ollama-ha
License: Apache-2.0
 On Debian systems the full text stands in /usr/share/common-licenses/Apache-2.0.
Comment: The executable contains Node.js (https://nodejs.org, licence:
 https://github.com/nodejs/node/blob/v${process.versions.node}/LICENSE) and the npm packages that
 third-party-licenses.gz lists with their licences.
`;

function licenceOf(name: string): string {
  const directory = join(root, 'node_modules', name);
  const { version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { version: string; license?: string };
  const file = globSync('{LICENSE,LICENCE,License,license}*', { cwd: directory })[0];
  const text = file === undefined || !existsSync(join(directory, file)) ? '' : readFileSync(join(directory, file), 'utf8').trim();
  return `==== ${name} ${version} (${license ?? 'see below'})\n\n${text}\n`;
}

function placeControl(tree: string): void {
  const bytes = filesBelow(tree).reduce((sum, file) => sum + statSync(join(tree, file)).size, 0);
  const control = readFileSync(join(root, 'deploy/deb/control'), 'utf8')
    .replace('@VERSION@', about.version)
    .replace('@ARCH@', dpkgArchitecture())
    .replace('@SIZE@', String(Math.ceil(bytes / 1024)));
  const sums = filesBelow(tree).filter((file) => !file.startsWith('etc/'));
  const md5 = execFileSync('md5sum', ['--', ...sums], { cwd: tree, encoding: 'utf8' });
  write(tree, 'DEBIAN/control', control);
  write(tree, 'DEBIAN/md5sums', md5);
  write(tree, 'DEBIAN/conffiles', '/etc/ollama-ha/agent.yaml.example\n');
  for (const script of ['postinst', 'prerm', 'postrm']) place(tree, join(root, 'deploy/deb', script), `DEBIAN/${script}`, 0o755);
}

function dpkgArchitecture(): string {
  return execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
}

function place(tree: string, from: string, to: string, mode = 0o644): void {
  directoryOf(tree, to);
  cpSync(from, join(tree, to), { dereference: true });
  chmodSync(join(tree, to), mode);
}

function write(tree: string, to: string, text: string | Uint8Array): void {
  directoryOf(tree, to);
  writeFileSync(join(tree, to), text);
  chmodSync(join(tree, to), 0o644);
}

function link(tree: string, target: string, at: string): void {
  directoryOf(tree, at);
  symlinkSync(target, join(tree, at));
}

// Whatever the umask of the builder: directories of a package are 0755.
function directoryOf(tree: string, to: string): void {
  const made = mkdirSync(dirname(join(tree, to)), { recursive: true });
  for (let at = dirname(join(tree, to)); made !== undefined && at.length >= tree.length; at = dirname(at)) chmodSync(at, 0o755);
}
