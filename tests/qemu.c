// What Debian's qemu-user lacks and a board's kernel has, preloaded into emulated programs by tests/qemu:
// a terminal's settings with the speed as a number (TCGETS2, TCSETS2), and starting programs that were built for the emulated processor.

#define _GNU_SOURCE
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int (*next_execvp)(const char *, char *const[]);
static int (*next_posix_spawnp)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[], char *const[]);
static char preload[4096];

__attribute__((constructor)) static void begin(void) {
    // Programs of this machine would be given the library, too, and complain.
    unsetenv("LD_PRELOAD");
    // Between fork and exec nothing may be looked up.
    next_execvp = dlsym(RTLD_NEXT, "execvp");
    next_posix_spawnp = dlsym(RTLD_NEXT, "posix_spawnp");
    Dl_info own;
    if (dladdr((void *)begin, &own) != 0) snprintf(preload, sizeof preload, "LD_PRELOAD=%s", own.dli_fname);
}

// The speeds that the emulator passes on.
static const struct { unsigned baud; tcflag_t code; } SPEEDS[] = {
    {9600, B9600}, {19200, B19200}, {38400, B38400}, {57600, B57600}, {115200, B115200}, {230400, B230400}, {460800, B460800},
};
enum { SPEED_COUNT = sizeof SPEEDS / sizeof *SPEEDS };

static int get_settings(int port, struct termios2 *settings) {
    struct termios plain;
    int status = (int)syscall(SYS_ioctl, port, TCGETS, &plain);
    if (status != 0) return status;
    // The settings begin alike; the speeds come behind them.
    memset(settings, 0, sizeof *settings);
    memcpy(settings, &plain, sizeof plain);
    for (int i = 0; i < SPEED_COUNT; i++)
        if (SPEEDS[i].code == (plain.c_cflag & CBAUD)) settings->c_ispeed = settings->c_ospeed = SPEEDS[i].baud;
    return 0;
}

static int set_settings(int port, unsigned long request, const struct termios2 *settings) {
    struct termios plain;
    memcpy(&plain, settings, sizeof plain);
    if ((plain.c_cflag & CBAUD) == BOTHER) {
        int i = 0;
        while (i < SPEED_COUNT && SPEEDS[i].baud != settings->c_ospeed) i++;
        if (i == SPEED_COUNT) { errno = EINVAL; return -1; }
        plain.c_cflag = (plain.c_cflag & ~(tcflag_t)(CBAUD | CIBAUD)) | SPEEDS[i].code;
    }
    return (int)syscall(SYS_ioctl, port, request, &plain);
}

int ioctl(int file, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    switch ((unsigned)request) {
        case TCGETS2: return get_settings(file, argument);
        case TCSETS2: return set_settings(file, TCSETS, argument);
        case TCSETSW2: return set_settings(file, TCSETSW, argument);
        case TCSETSF2: return set_settings(file, TCSETSF, argument);
        default: return (int)syscall(SYS_ioctl, file, request, argument);
    }
}

// Whether the file is a program for the processor that this library was built for.
static int is_emulated(const char *path) {
    ElfW(Ehdr) header;
    int file = strchr(path, '/') ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    ssize_t length = read(file, &header, sizeof header);
    close(file);
    return length == sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_machine == MACHINE;
}

enum { EMULATOR_WORDS = 6, WORDS_MAX = 256 };

// `qemu -L sysroot -E LD_PRELOAD=this program arguments`; 0 when there are too many.
static int emulated(const char *path, char *const arguments[], char *words[WORDS_MAX]) {
    char *emulator[EMULATOR_WORDS] = {EMULATOR, "-L", SYSROOT, "-E", preload, (char *)path};
    memcpy(words, emulator, sizeof emulator);
    int count = EMULATOR_WORDS;
    for (int i = 1; arguments[0] != NULL && arguments[i] != NULL; i++) {
        if (count == WORDS_MAX - 1) return 0;
        words[count++] = arguments[i];
    }
    words[count] = NULL;
    return 1;
}

int execvp(const char *path, char *const arguments[]) {
    char *words[WORDS_MAX];
    if (!is_emulated(path)) return next_execvp(path, arguments);
    if (!emulated(path, arguments, words)) { errno = E2BIG; return -1; }
    return next_execvp(EMULATOR, words);
}

int posix_spawnp(pid_t *process, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                 char *const arguments[], char *const environment[]) {
    char *words[WORDS_MAX];
    if (!is_emulated(path)) return next_posix_spawnp(process, path, actions, attributes, arguments, environment);
    if (!emulated(path, arguments, words)) return E2BIG;
    return next_posix_spawnp(process, EMULATOR, actions, attributes, words, environment);
}
