// Counts the syncs of the processes it is preloaded into, all together, in the first eight bytes of the file that
// ROLLBOOK_SYNC_COUNTER names. Built and used by the durability stories.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t *counter;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("ROLLBOOK_SYNC_COUNTER");
  int file = path ? open(path, O_RDWR) : -1;
  if (file < 0)
    return;
  void *page = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (page != MAP_FAILED)
    counter = page;
  close(file);
}

static int counted(const char *name, int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int answer = real(file);
  if (counter && answer == 0)
    __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
  return answer;
}

int fsync(int file) { return counted("fsync", file); }

int fdatasync(int file) { return counted("fdatasync", file); }
