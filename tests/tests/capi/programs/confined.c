/* Limits and the like reach the processes of an action. Not for valgrind, which sets limits of its own. */

#include "check.h"

/* Of what is taken from an action, all that needs neither root nor a kernel of some kind. */
static void confinement(void) {
    actionproxy_config *config = configured("confinement");
    actionproxy_action *action;
    OK(actionproxy_config_set_address_space(config, 1 << 30));
    OK(actionproxy_config_set_processor_time(config, 77000));
    OK(actionproxy_config_set_file_size(config, 512 * 99));
    OK(actionproxy_config_set_open_files(config, 55));
    OK(actionproxy_config_set_processes(config, 1000));
    OK(actionproxy_config_set_processes(config, ACTIONPROXY_NO_LIMIT));
    OK(actionproxy_config_set_core_dumps(config, ACTIONPROXY_CORE_DUMPS_OFF));
    OK(actionproxy_config_set_privileges(config, ACTIONPROXY_PRIVILEGES_NO_NEW));
    OK(actionproxy_config_set_view(config, ACTIONPROXY_VIEW_READ_ONLY));
    OK(actionproxy_config_set_view(config, ACTIONPROXY_VIEW_WHOLE));
    action = opened(config);
    OK(init_text(action, "#!/bin/bash\nprivs=$(grep NoNewPrivs /proc/self/status | tr -dc 0-9)\n"
                         "echo \"[$(ulimit -v),$(ulimit -t),$(ulimit -f),$(ulimit -n),$(ulimit -c),$privs]\"\n"));
    /* Of bash: in KiB, seconds, blocks of 1024 bytes. */
    gives(action, NULL, "{}", "[1048576,77,49,55,0,1]");
    OK(actionproxy_close(action));
    /* Whether it can be had is told when the action is opened. */
    config = configured("confinement");
    OK(actionproxy_config_set_processes(config, 1000));
    OK(actionproxy_config_set_user(config, 0, 0));
    CHECK(actionproxy_open(config, &action) == ACTIONPROXY_HOST);
    CHECK(strstr(actionproxy_error_text(), geteuid() == 0 ? "does not hold root" : "only root can run"));
    OK(actionproxy_config_free(config));
}

int main(int argc, char **argv) {
    CHECK(argc == 2 && chdir(argv[1]) == 0);
    confinement();
    puts("done");
    return 0;
}
