import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library';
import path from 'node:path';
import { PackageURL } from 'packageurl-js';
import { installedRuntime } from '../build/paths.ts';
import type { ThirdParty } from './third-party.ts';

export interface PackageFile {
  /** The path on the guest. */
  path: string;
  /** SHA-256 of the content, in hexadecimal. */
  sha256: string;
}

export interface Product {
  version: string;
  /** SPDX licence expression of the whole package. */
  licence: string;
  /** The time that the document states, in seconds since 1970. */
  seconds: number;
}

/**
 * Returns a CycloneDX 1.5 document: the agent, the third-party software in it, and every file of the package below the
 * component to which the file belongs. The same arguments give the same text.
 * @throws Error for a file of the private runtime that belongs to no component
 */
export function sbom(
  software: readonly ThirdParty[],
  files: readonly PackageFile[],
  product: Product,
): string {
  const agent = agentComponent(product);
  const bom = new Models.Bom({ metadata: new Models.Metadata({ component: agent }) });
  bom.metadata.timestamp = new Date(product.seconds * 1000);
  bom.metadata.lifecycles.add(Enums.LifecyclePhase.Build);
  const components = new Map(software.map((item) => [item, thirdPartyComponent(item)]));
  for (const [item, component] of components) {
    agent.dependencies.add(component.bomRef);
    const container = software.find(({ name }) => name === item.within);
    if (container === undefined) bom.components.add(component);
    else placeWithin(container, components.get(container), component);
  }
  for (const file of files) {
    const owner = ownerOf(file, software);
    const component = owner === undefined ? agent : components.get(owner);
    component?.components.add(fileComponent(file));
  }
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot5));
  return `${serializer.serialize(bom, { sortLists: true, space: 1 })}\n`;
}

function agentComponent({ version, licence }: Product): Models.Component {
  const name = 'immutafs-agent';
  const agent = new Models.Component(Enums.ComponentType.Application, name, {
    bomRef: name,
    version,
    purl: new PackageURL('rpm', undefined, name, `${version}-1`, { arch: 'x86_64' }).toString(),
  });
  agent.licenses.add(new Models.LicenseExpression(licence));
  return agent;
}

function thirdPartyComponent({ name, version, licence, purl, cpe, archive }: ThirdParty): Models.Component {
  const component = new Models.Component(Enums.ComponentType.Library, name, { bomRef: purl, version, purl });
  if (cpe !== undefined) component.cpe = cpe;
  if (archive !== undefined) component.hashes.set(Enums.HashAlgorithm['SHA-512'], archive);
  component.licenses.add(new Models.LicenseExpression(licence));
  return component;
}

/**
 * Adds a library to the component into which it is linked. The library has no file of its own, so its hash is that of
 * the archive in which it was delivered.
 */
function placeWithin(
  container: ThirdParty,
  outer: Models.Component | undefined,
  inner: Models.Component,
): void {
  outer?.components.add(inner);
  const comment = `delivered in the archive of ${container.name} ${container.version}`;
  const reference = new Models.ExternalReference(container.purl, Enums.ExternalReferenceType.Distribution, {
    comment,
  });
  reference.hashes.set(Enums.HashAlgorithm['SHA-512'], container.archive ?? '');
  inner.externalReferences.add(reference);
}

function ownerOf(file: PackageFile, software: readonly ThirdParty[]): ThirdParty | undefined {
  if (path.dirname(file.path) !== installedRuntime) return undefined;
  const owner = software.find(({ files }) => files.includes(path.basename(file.path)));
  if (owner === undefined) throw new Error(`${file.path} belongs to no component of the SBOM`);
  return owner;
}

function fileComponent({ path: name, sha256 }: PackageFile): Models.Component {
  const component = new Models.Component(Enums.ComponentType.File, name, { bomRef: `file:${name}` });
  component.hashes.set(Enums.HashAlgorithm['SHA-256'], sha256);
  return component;
}
