process.stdout.write('immutafs-agent: to be written\n');
