import { suite } from 'uvu';
import { dnfTree } from '../harness/dnf.ts';
import { layout } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { withFixture } from '../libvirt/fixture.ts';
import { installed, noticed, opened, sealed, updatedByMistake, withLetter } from '../lifecycle/sealed.ts';
import { failedUpdate, sealedAgain, updated, writableAfterSeal } from '../lifecycle/updated.ts';

/** As an installer leaves it: everything on one disk, and everything writable. The second disk is empty. */
const ordinary = layout({ home: null, fstab: 'installed' });

/**
 * The life of a guest, on a real libvirt by the real playbooks: five boots. What goes wrong is joined with what would be
 * booted anyway, and the playbook is killed at every stage: see each chapter.
 */
const life = suite('an ordinary guest is sealed, updated and sealed again');

life(
  'installed, sealed, updated by mistake, opened, updated, sealed; whatever fails, it is continued',
  async () => {
    const template = await templateOf(ordinary, await dnfTree());
    await withFixture(template, withLetter, async (fixture) => {
      await installed(fixture);
      await sealed(fixture);
      await noticed(fixture);
      await updatedByMistake(fixture);
      await opened(fixture);
      await failedUpdate(fixture);
      await updated(fixture);
      await writableAfterSeal(fixture);
      await sealedAgain(fixture);
    });
  },
);

life.run();
