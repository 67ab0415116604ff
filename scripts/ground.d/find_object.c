/*
 * What GCC's unwinder asks the GNU C library, answered where there is another: which object has the
 * code at an address, and where its table of unwinding is.
 *
 * Without an answer nothing would be unwound, and a panic that is to be caught would end the process.
 * Needs of the C library what every one on Linux has, dl_iterate_phdr(3).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <string.h>

struct search {
    ElfW(Addr) address;
    struct dl_find_object *object;
};

/* Ends the walk, by a number other than zero, at the object that has the address. */
static int compare(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    const ElfW(Phdr) *table = NULL;
    int found = 0;
    (void)size;

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        ElfW(Addr) start = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type == PT_GNU_EH_FRAME) {
            table = segment;
        } else if (segment->p_type == PT_LOAD && search->address - start < segment->p_memsz) {
            search->object->dlfo_map_start = (void *)start;
            search->object->dlfo_map_end = (void *)(start + segment->p_memsz);
            found = 1;
        }
    }
    if (!found || table == NULL)
        return 0;
    search->object->dlfo_eh_frame = (void *)(info->dlpi_addr + table->p_vaddr);
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object *object)
{
    struct search search = {(ElfW(Addr))address, object};

    memset(object, 0, sizeof *object);
    return dl_iterate_phdr(compare, &search) ? 0 : -1;
}
