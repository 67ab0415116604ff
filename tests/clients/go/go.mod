module actionproxy.test/clients

go 1.19
