/* disk - see disk.h */
#include "disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"

enum {
    FILE_COUNT_MAX = 16384,
    NAME_COUNT_MAX = 8192, /* a power of two */
    CHANGE_COUNT_MAX = 16384,
    PATH_SIZE = 160, /* below the disk's folder */
    SECTOR_SIZE = 512,
    BLOCK_SIZE = 4096,
    COPY_SIZE = 1 << 16,
    FOLDER = -2, /* in place of a file: the name is a folder */
};

struct disk_file {
    uint64_t inode;
    bool is_mapped;
    bool is_dirty;
    uint64_t first; /* bytes first to last - 1 may differ from the platter */
    uint64_t last;
    bool is_cut; /* it was made shorter since it was synced, to low bytes */
    uint64_t low;
};

struct disk_name {
    char path[PATH_SIZE]; /* empty: free */
    int file;             /* as on the platter */
};

/* One change of names that its folder was not synced for. */
struct disk_change {
    int name[2]; /* -1: none */
    int file[2]; /* what the name stands for afterwards */
};

struct disk {
    char root[PATH_MAX];
    size_t root_size;
    int file_count;
    int change_count;
    struct disk_file files[FILE_COUNT_MAX];
    struct disk_name names[NAME_COUNT_MAX];
    struct disk_change changes[CHANGE_COUNT_MAX];
};

static struct disk *disk;

/* Calls in here are not part of the simulation. */
#define DISK_OUTSIDE                                                                               \
    __attribute__((cleanup(disk_back), unused)) bool was_live = sim_self.live;                     \
    sim_self.live = false

static void disk_back(const bool *was_live)
{
    sim_self.live = *was_live;
}

static void disk_path(char out[PATH_MAX], const char *folder, const char *rest)
{
    int size =
        snprintf(out, PATH_MAX, "%.*s/%s/%s", (int)disk->root_size, disk->root, folder, rest);
    assert(size > 0 && size < PATH_MAX);
}

static int disk_open_side(const char *folder, int file, int flags)
{
    char number[16];
    char path[PATH_MAX];

    snprintf(number, sizeof number, "%d", file);
    disk_path(path, folder, number);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    assert(fd >= 0);
    return fd;
}

void disk_start(const char *root)
{
    static const char *const folders[] = { "", "disk", "platter", "inodes", "remote" };
    char path[PATH_MAX];

    disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(disk != MAP_FAILED);
    disk->root_size = strlen(root);
    snprintf(disk->root, sizeof disk->root, "%s", root);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        disk_path(path, folders[i], "");
        int made = mkdir(path, 0700);
        assert(made == 0);
    }
}

void disk_end(void)
{
    munmap(disk, sizeof *disk);
    disk = NULL;
}

/* PATH below the disk's folder, or NULL. */
static const char *disk_below(const char *path)
{
    static const char folder[] = "/disk/";

    if (disk == NULL || strncmp(path, disk->root, disk->root_size) != 0 ||
        strncmp(path + disk->root_size, folder, sizeof folder - 1) != 0)
        return NULL;
    return path + disk->root_size + sizeof folder - 1;
}

bool disk_has(const char *path)
{
    return disk_below(path) != NULL;
}

static int disk_name(const char *below)
{
    uint32_t hash = 2166136261u;

    for (const char *p = below; *p != '\0'; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    for (uint32_t i = 0; i < NAME_COUNT_MAX; i++) {
        uint32_t place = (hash + i) & (NAME_COUNT_MAX - 1);
        struct disk_name *name = &disk->names[place];
        if (name->path[0] == '\0') {
            assert(strlen(below) < PATH_SIZE);
            snprintf(name->path, sizeof name->path, "%s", below);
            name->file = DISK_NO_FILE;
            return (int)place;
        }
        if (strcmp(name->path, below) == 0)
            return (int)place;
    }
    assert(false);
    return -1;
}

static void disk_change(int name, int file, int other_name, int other_file)
{
    assert(disk->change_count < CHANGE_COUNT_MAX);
    disk->changes[disk->change_count++] = (struct disk_change){
        .name = { name, other_name },
        .file = { file, other_file },
    };
}

static int disk_find_inode(uint64_t inode)
{
    for (int i = disk->file_count - 1; i >= 0; i--)
        if (disk->files[i].inode == inode)
            return i;
    return DISK_NO_FILE;
}

int disk_file(int fd, const char *path)
{
    DISK_OUTSIDE;
    struct stat status;
    char number[16];
    char link_path[PATH_MAX];
    int found = fstat(fd, &status);

    assert(found == 0);
    if (!S_ISREG(status.st_mode))
        return DISK_NO_FILE;
    int file = disk_find_inode(status.st_ino);
    if (file >= 0)
        return file;

    assert(disk->file_count < FILE_COUNT_MAX);
    file = disk->file_count++;
    disk->files[file] = (struct disk_file){ .inode = status.st_ino };
    snprintf(number, sizeof number, "%d", file);
    disk_path(link_path, "inodes", number);
    int linked = link(path, link_path);
    assert(linked == 0);
    close(disk_open_side("platter", file, O_RDWR | O_CREAT));
    disk_change(disk_name(disk_below(path)), file, -1, 0);
    return file;
}

void disk_note_write(int file, uint64_t offset, uint64_t size)
{
    struct disk_file *it = &disk->files[file];

    if (!it->is_dirty) {
        it->first = offset;
        it->last = offset + size;
    }
    it->is_dirty = true;
    if (offset < it->first)
        it->first = offset;
    if (offset + size > it->last)
        it->last = offset + size;
}

void disk_note_size(int file, uint64_t size)
{
    struct disk_file *it = &disk->files[file];

    disk_note_write(file, 0, 0);
    if (!it->is_cut || size < it->low)
        it->low = size;
    it->is_cut = true;
}

void disk_note_mapped(int file)
{
    disk->files[file].is_mapped = true;
}

/* Bytes FIRST to LAST - 1, as far as they are there; the size of the platter's copy may grow. */
static void disk_copy(int from, int to, uint64_t first, uint64_t last)
{
    static uint8_t buffer[COPY_SIZE];

    while (first < last) {
        size_t size = last - first < sizeof buffer ? (size_t)(last - first) : sizeof buffer;
        ssize_t got = pread(from, buffer, size, (off_t)first);
        assert(got >= 0);
        if (got == 0)
            return;
        ssize_t put = pwrite(to, buffer, (size_t)got, (off_t)first);
        assert(put == got);
        first += (uint64_t)got;
    }
}

void disk_note_sync(int file, int real)
{
    DISK_OUTSIDE;
    struct disk_file *it = &disk->files[file];
    struct stat status;

    if (!it->is_dirty && !it->is_mapped)
        return;
    int platter = disk_open_side("platter", file, O_RDWR);
    int found = fstat(real, &status);
    assert(found == 0);
    if (it->is_mapped)
        disk_copy(real, platter, 0, (uint64_t)status.st_size);
    else
        disk_copy(real, platter, it->first, it->last);
    int cut = ftruncate(platter, status.st_size);
    assert(cut == 0);
    close(platter);
    it->is_dirty = false;
    it->is_cut = false;
}

/* The kernel may believe the pages clean after it could not write them: they never get there. */
void disk_note_failed_sync(int file)
{
    disk->files[file].is_dirty = false;
}

static bool disk_is_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);

    return strlen(folder) == size && strncmp(path, folder, size) == 0;
}

static void disk_apply(const struct disk_change *change)
{
    for (int i = 0; i < 2; i++)
        if (change->name[i] >= 0)
            disk->names[change->name[i]].file = change->file[i];
}

void disk_note_folder_sync(const char *path)
{
    char below[PATH_SIZE];
    int kept = 0;

    char top[PATH_MAX];
    disk_path(top, "disk", "");
    top[strlen(top) - 1] = '\0';
    const char *found = strcmp(path, top) == 0 ? "" : disk_below(path);
    if (found == NULL)
        return;
    snprintf(below, sizeof below, "%s", found);
    for (int i = 0; i < disk->change_count; i++) {
        struct disk_change change = disk->changes[i];
        if (disk_is_in(disk->names[change.name[0]].path, below))
            disk_apply(&change);
        else
            disk->changes[kept++] = change;
    }
    disk->change_count = kept;
}

void disk_note_folder(const char *path)
{
    disk_change(disk_name(disk_below(path)), FOLDER, -1, 0);
}

void disk_note_removed(const char *path)
{
    disk_change(disk_name(disk_below(path)), DISK_NO_FILE, -1, 0);
}

void disk_note_renamed(const char *from, const char *to)
{
    DISK_OUTSIDE;
    struct stat status;
    int found = stat(to, &status);

    assert(found == 0);
    disk_change(disk_name(disk_below(from)), DISK_NO_FILE, disk_name(disk_below(to)),
        disk_find_inode(status.st_ino));
}

/* A file that became shorter is shorter before anything that was written later gets there. */
static void disk_cut_short(struct disk_file *it, int platter)
{
    struct stat synced;
    int found = fstat(platter, &synced);

    assert(found == 0);
    if (it->is_cut && it->low < (uint64_t)synced.st_size) {
        int cut = ftruncate(platter, (off_t)it->low);
        assert(cut == 0);
    }
    it->is_cut = false;
}

void disk_write_back(void)
{
    DISK_OUTSIDE;
    struct stat status;

    if (disk->file_count == 0)
        return;
    int file = disk->file_count - 1 - (int)sim_below((uint64_t)disk->file_count);
    struct disk_file *it = &disk->files[file];
    if (!it->is_dirty && !it->is_mapped)
        return;

    int real = disk_open_side("inodes", file, O_RDONLY);
    int platter = disk_open_side("platter", file, O_RDWR);
    int found = fstat(real, &status);
    assert(found == 0);
    disk_cut_short(it, platter);
    uint64_t first = it->is_mapped ? 0 : it->first;
    uint64_t last = it->is_mapped ? (uint64_t)status.st_size : it->last;
    for (uint64_t at = first / SECTOR_SIZE * SECTOR_SIZE; at < last; at += BLOCK_SIZE)
        if (sim_below(2) == 0)
            disk_copy(real, platter, at, at + BLOCK_SIZE);
    close(real);
    close(platter);
    sim->counts.writebacks++;
}

/* ---- settling and cutting */

static void disk_each_name(const char *below, void (*each)(const char *path, bool is_folder))
{
    char path[PATH_MAX];
    disk_path(path, "disk", below);
    DIR *folder = opendir(path);
    assert(folder != NULL);

    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char child[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof child, "%s%s%s", below, below[0] == '\0' ? "" : "/", entry->d_name);
        each(child, entry->d_type == DT_DIR);
        if (entry->d_type == DT_DIR)
            disk_each_name(child, each);
    }
    closedir(folder);
}

static void disk_settle_one(const char *below, bool is_folder)
{
    char path[PATH_MAX];

    disk_path(path, "disk", below);
    if (is_folder) {
        disk->names[disk_name(below)].file = FOLDER;
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(fd >= 0);
    int file = disk_file(fd, path);
    disk_note_mapped(file);
    disk_note_sync(file, fd);
    close(fd);
    disk->files[file].is_mapped = false;
    disk->names[disk_name(below)].file = file;
}

void disk_settle(void)
{
    disk_each_name("", disk_settle_one);
    disk->change_count = 0;
}

/* How a cut chooses between what was written and what is on the platter. */
struct disk_choice {
    uint32_t keep_percent;
    uint32_t unit;
};

static bool disk_keeps(const struct disk_choice *choice)
{
    return sim_below(100) < choice->keep_percent;
}

static uint64_t disk_cut_size(uint64_t now, uint64_t synced, const struct disk_choice *choice)
{
    uint64_t small = now < synced ? now : synced;
    uint64_t large = now < synced ? synced : now;

    if (now == synced || disk_keeps(choice))
        return now;
    if (now < synced || sim_below(2) == 0)
        return synced;
    return small + sim_below((large - small) / SECTOR_SIZE + 1) * SECTOR_SIZE;
}

static void disk_read_all(int fd, uint8_t *out, uint64_t size)
{
    memset(out, 0, size);
    ssize_t got = pread(fd, out, size, 0);
    assert(got >= 0);
}

static void disk_cut_file(int file)
{
    struct disk_file *it = &disk->files[file];
    struct disk_choice choice = {
        .keep_percent = (uint32_t)sim_below(5) * 25,
        .unit = sim_below(2) == 0 ? SECTOR_SIZE : BLOCK_SIZE,
    };
    struct stat now;
    struct stat synced;
    int real = disk_open_side("inodes", file, O_RDWR);
    int platter = disk_open_side("platter", file, O_RDWR);
    int found = fstat(real, &now) | fstat(platter, &synced);

    assert(found == 0);
    bool is_undone = it->is_cut && it->low < (uint64_t)synced.st_size && sim_below(2) == 0;
    if (is_undone)
        choice.keep_percent = 0;
    else
        disk_cut_short(it, platter);
    found = fstat(platter, &synced);
    assert(found == 0);
    it->is_cut = false;
    uint64_t size = (uint64_t)synced.st_size;
    if (!is_undone)
        size = disk_cut_size((uint64_t)now.st_size, (uint64_t)synced.st_size, &choice);
    uint8_t *left = malloc(size + 1);
    uint8_t *right = malloc(size + 1);
    disk_read_all(real, left, size);
    disk_read_all(platter, right, size);
    for (uint64_t at = 0; at < size; at += choice.unit) {
        size_t part = size - at < choice.unit ? (size_t)(size - at) : choice.unit;
        if (memcmp(left + at, right + at, part) == 0)
            continue;
        if (disk_keeps(&choice))
            memcpy(right + at, left + at, part);
        else
            sim->counts.lost_sectors++;
    }
    ssize_t put = pwrite(real, right, size, 0);
    int cut = ftruncate(real, (off_t)size) | ftruncate(platter, 0);
    assert(put == (ssize_t)size && cut == 0);
    put = pwrite(platter, right, size, 0);
    assert(put == (ssize_t)size);
    free(left);
    free(right);
    close(real);
    close(platter);
}

static void disk_cut_changes(void)
{
    uint64_t prefix = sim_below((uint64_t)disk->change_count + 1);

    for (int i = 0; i < disk->change_count; i++) {
        bool keep = sim->settings.unordered_names ? sim_below(2) == 0 : (uint64_t)i < prefix;
        if (keep)
            disk_apply(&disk->changes[i]);
        else
            sim->counts.lost_names++;
    }
    disk->change_count = 0;
}

/* Whether a folder above PATH was lost. */
static bool disk_is_cut_off(const char *path)
{
    char above[PATH_SIZE];

    snprintf(above, sizeof above, "%s", path);
    for (char *slash; (slash = strrchr(above, '/')) != NULL;) {
        *slash = '\0';
        if (disk->names[disk_name(above)].file != FOLDER)
            return true;
    }
    return false;
}

static void disk_remove_one(const char *below, bool is_folder)
{
    char path[PATH_MAX];

    disk_path(path, "disk", below);
    int name = disk_name(below);
    if (disk->names[name].file != DISK_NO_FILE && disk_is_cut_off(below))
        disk->names[name].file = DISK_NO_FILE;
    if (!is_folder)
        unlink(path);
}

static void disk_make_name(const struct disk_name *name)
{
    char number[16];
    char from[PATH_MAX];
    char path[PATH_MAX];

    disk_path(path, "disk", name->path);
    if (name->file == FOLDER) {
        mkdir(path, 0700);
        return;
    }
    snprintf(number, sizeof number, "%d", name->file);
    disk_path(from, "inodes", number);
    int linked = link(from, path);
    assert(linked == 0);
}

/*
 * SQLite's shared memory: whoever opens the database first empties it, so it might as well be gone.
 * (The oracle would take an old one for the present.)
 */
static void disk_forget_index(void)
{
    static const char ending[] = "-shm";

    for (int i = 0; i < NAME_COUNT_MAX; i++) {
        struct disk_name *name = &disk->names[i];
        size_t size = strlen(name->path);
        if (size >= sizeof ending && strcmp(name->path + size - sizeof ending + 1, ending) == 0)
            name->file = DISK_NO_FILE;
    }
}

void disk_cut(void)
{
    bool *wanted = calloc((size_t)disk->file_count + 1, sizeof *wanted);

    disk_cut_changes();
    disk_forget_index();
    disk_each_name("", disk_remove_one);
    for (int i = 0; i < NAME_COUNT_MAX; i++) {
        struct disk_name *name = &disk->names[i];
        if (name->path[0] != '\0' && name->file >= 0 && disk_is_cut_off(name->path))
            name->file = DISK_NO_FILE;
        if (name->path[0] != '\0' && name->file == DISK_NO_FILE) {
            char path[PATH_MAX];
            disk_path(path, "disk", name->path);
            rmdir(path);
        }
    }
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < NAME_COUNT_MAX; i++) {
            const struct disk_name *name = &disk->names[i];
            bool is_file = name->file >= 0;
            if (name->path[0] == '\0' || name->file == DISK_NO_FILE || is_file != (pass == 1))
                continue;
            disk_make_name(name);
            if (is_file)
                wanted[name->file] = true;
        }
    for (int i = 0; i < disk->file_count; i++) {
        disk->files[i].is_dirty = false;
        disk->files[i].is_mapped = false;
        if (wanted[i])
            disk_cut_file(i);
    }
    free(wanted);
}
