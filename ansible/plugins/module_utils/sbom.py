"""The bill of materials of an image: its packages, in the format CycloneDX 1.5. Pure functions.

Sources: https://cyclonedx.org/docs/1.5/json/; the Package URL specification (purl-spec), types rpm and deb.
"""

import uuid
from urllib.parse import quote

# The vendor in the package URL of an rpm, where it is not the ID in os-release.
VENDORS = {"rhel": "redhat"}

# An entry of the rpm database for a key, which is not a package.
KEY = "gpg-pubkey"


def document(claims, image):
    """
    Returns the document. `claims` is the text that parse_claims parses: its lines "package NAME VERSION.ARCH" are packages of
    rpm, "deb NAME VERSION.ARCH" those of dpkg, and "system ID VERSION" is what os-release contains. `image` has the keys
    name, version, sha256, file and time. The same arguments give the same document.
    """
    packages, system = set(), ("", "")
    for line in claims.splitlines():
        words = line.split()
        if words[:1] == ["system"]:
            system = tuple((words[1:3] + ["", ""])[:2])
        elif len(words) == 3 and words[0] in ("package", "deb") and words[1] != KEY:
            packages.add(tuple(words))
    components = [] if not system[0] else [operating_system(*system)]
    components += [component(*each, system) for each in sorted(packages)]
    described = {
        "type": "file",
        "bom-ref": "image",
        "name": image["name"],
        "version": image["version"],
        "description": image["file"],
        "hashes": [{"alg": "SHA-256", "content": image["sha256"]}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, "urn:immutafs-agent:image:" + image["sha256"]).urn,
        "version": 1,
        "metadata": {"timestamp": image["time"], "lifecycles": [{"phase": "build"}], "component": described},
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": [each["bom-ref"] for each in components]}],
    }


def operating_system(name, version):
    """Returns the component from which scanners take the distribution of the packages."""
    found = {"type": "operating-system", "bom-ref": "operating-system", "name": name}
    return dict(found, version=version) if version else found


def component(kind, name, described, system):
    """Returns the component of a package. `described` is the version with the architecture behind its last full stop."""
    version, _, arch = described.rpartition(".")
    url = package_url(kind, name, version, arch, system)
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def package_url(kind, name, version, arch, system):
    """Returns the package URL. That of an rpm has the epoch as a qualifier."""
    distribution, release = system
    qualifiers = {"arch": arch}
    if distribution and release:
        qualifiers["distro"] = "%s-%s" % (distribution, release)
    if kind == "package" and ":" in version:
        qualifiers["epoch"], _, version = version.partition(":")
    vendor = VENDORS.get(distribution, distribution) if kind == "package" else distribution or "debian"
    path = [each for each in ("rpm" if kind == "package" else "deb", vendor, name) if each]
    more = "&".join("%s=%s" % (key, encoded(value)) for key, value in sorted(qualifiers.items()))
    return "pkg:%s@%s?%s" % ("/".join(encoded(each) for each in path), encoded(version), more)


def encoded(text):
    """Percent-encodes a part of a package URL."""
    return quote(text, safe="")
