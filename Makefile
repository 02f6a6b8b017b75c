# Short names for the load balancer of the HTTP lab: three replicas on port 5000, on the ring of the coursework.
# make up PORT=8000 FLAGS='--replica-ids random' changes that.

PORT  ?= 5000
FLAGS ?=
LAB   := $(or $(CARGO_TARGET_DIR),target)/release/lab
PID   := runs/replicas.pid
LOG   := runs/replicas.log
# Whether the process that was noted is still the load balancer that was started here.
RUNS  = { test -s $(PID) && ps -p "$$(cat $(PID))" -o args= 2>/dev/null | grep -q 'loadbalancer .*--replicas'; }

.PHONY: build up down

build:
	@cargo build --release --package lab

up: build
	@if $(RUNS); then echo "It is running already, as process $$(cat $(PID)). make down ends it." >&2; exit 1; fi
	@case " $(FLAGS) " in *" --quiet "*) \
	    echo "The log says when all are in service: make up cannot do with --quiet." >&2; exit 2;; esac
	@mkdir -p runs
# Before the load balancer is started, and not by it: what the last one said is not counted.
	@: >$(LOG)
	@$(LAB) loadbalancer --http 127.0.0.1:$(PORT) --listen 127.0.0.1:0 --replicas 3 \
	    --balance consistent-hash --ring-hash coursework $(FLAGS) </dev/null >$(LOG) 2>&1 & echo $$! >$(PID)
	@for look in $$(seq 100); do \
	    if test "$$(grep -c 'is in service' $(LOG))" -ge 3; then \
	        echo "Three replicas at http://127.0.0.1:$(PORT)/ (log: $(LOG)). make down ends them."; exit 0; \
	    fi; \
	    $(RUNS) || break; \
	    sleep 0.1; \
	done; \
	echo "It did not start:" >&2; tail -n 5 $(LOG) >&2; if $(RUNS); then kill "$$(cat $(PID))"; fi; rm -f $(PID); exit 1

down:
	@if ! $(RUNS); then rm -f $(PID); echo "Nothing is running."; exit 0; fi; \
	pid=$$(cat $(PID)); kill "$$pid"; \
	for look in $$(seq 350); do kill -0 "$$pid" 2>/dev/null || break; sleep 0.1; done; \
	if kill -0 "$$pid" 2>/dev/null; then echo "Process $$pid does not end." >&2; exit 1; fi; \
	rm -f $(PID); echo "Ended."
