import { suite } from 'uvu';
import { dnfTree } from '../harness/dnf.ts';
import { layout } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { withFixture } from '../libvirt/fixture.ts';
import { installed, noticed, opened, sealed, updatedByMistake, withLetter } from '../lifecycle/sealed.ts';
import { failedUpdate, sealedAgain, updated, writableAfterSeal } from '../lifecycle/updated.ts';

/** The layout that an installer creates: everything is on one disk and writable. The second disk is empty. */
const ordinary = layout({ home: null, fstab: 'installed' });

/**
 * Tests the lifecycle of a guest in five boots, with a real libvirt and the real playbooks. Each stage is a function of
 * `../lifecycle`. The stages share boots, and the playbooks are killed at each stage.
 */
const lifecycle = suite('an ordinary guest is sealed, updated and sealed again');

lifecycle(
  'install, seal, update by mistake, open, update, seal; each playbook resumes after each failure',
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

lifecycle.run();
