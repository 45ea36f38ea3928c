# make up and make test are all that is needed; make help lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make 3.82 or newer is needed)
endif

export STACK ?= dev
export PULUMI_STACK := $(STACK)

# Everything Pulumi needs lies in .pulumi, unless the environment names another
# backend or passphrase. The user's own ~/.pulumi is left alone. The folder's name may
# have any character but a colon, which PATH cannot hold: recipes name what is in it
# from here on, and $(value) takes a $ as it is.
LOCAL := $(CURDIR)/.pulumi
export PATH := $(LOCAL)/bin:$(value PATH)
export PULUMI_HOME := $(LOCAL)/home
# metadata=skip: no second file beside each of the state's. A run that was killed
# could leave that one cut off, and the state could not be read.
space := $() $()
hash := \#
escaped = $(subst ?,%3F,$(subst $(hash),%23,$(subst $(space),%20,$(subst %,%25,$(LOCAL)))))
export PULUMI_BACKEND_URL ?= file://$(escaped)/state?metadata=skip
export PULUMI_SKIP_UPDATE_CHECK := true
ifeq ($(origin PULUMI_CONFIG_PASSPHRASE)$(origin PULUMI_CONFIG_PASSPHRASE_FILE),undefinedundefined)
export PULUMI_CONFIG_PASSPHRASE_FILE := $(LOCAL)/passphrase
endif
# The provider asks the engine that the docker command uses.
ifeq ($(origin DOCKER_HOST),undefined)
export DOCKER_HOST := $(shell docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || echo unix:///var/run/docker.sock)
endif

# A library would ask the terminal for its colours, and one that does not answer is
# waited for: to a dumb one nothing is said. Pulumi is given the real one.
STACK_TOOL := PULUMI_TERM="$${TERM-}" TERM=dumb exec .pulumi/bin/stack

.PHONY: help up down rollback versions purge preview status password logs test kills bench lint shell env tools images ready

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "  make %-9s %s\n", $$1, $$2 }'

up: tools ## bring the stack to what the configuration and the code say, and start or make anew what is not there
	@$(STACK_TOOL) up

rollback: tools ## put the last version that served before back, without a build; VERSION=name says which
	@$(STACK_TOOL) rollback

versions: tools ## list the versions that can be put back
	@$(STACK_TOOL) versions

purge: tools ## remove, after asking, what carries the stack's name and is in no state
	@$(STACK_TOOL) purge

preview: tools ## show what make up would change
	@$(STACK_TOOL) preview

down: tools ## remove everything the stack made, after asking where it has data; its configuration stays
	@$(STACK_TOOL) down

status: tools ## show the containers, what Prometheus reaches, and the alerts
	@$(STACK_TOOL) status

password: tools ## print Grafana's password, of the user admin
	@$(STACK_TOOL) password

# In GREP a $ is a $.
logs: override export GREP := $(value GREP)
logs: ## follow the logs of all containers; SERVICE=proxy,replica SINCE=10m GREP=text narrow them, FOLLOW=no ends
	@go build -o .pulumi/bin/stack ./tools/stack
	$(STACK_TOOL) logs

test: tools images ## run all tests, the end-to-end tests on the real engine included
	@(cd app && go test ./...)
	go test $$(go list ./infra/... ./tools/... | grep -v /e2e)
	for program in infra tools/stack; do # linked once for all tests
		GOFLAGS='-trimpath -buildvcs=false' go build -o $(LOCAL)/e2e/ ./$$program
	done
	mv $(LOCAL)/e2e/infra $(LOCAL)/e2e/program
	go test -timeout 75m -parallel 2 -v ./infra/e2e

kills: tools images ## kill 20 runs of random changes at random moments, and mend each by one make up
	@E2E_KILLS=$${E2E_KILLS:-20} go test -timeout 75m -run '^TestKills$$' -v ./infra/e2e

bench: tools images ## time up, scaling, a new version and destroy, against one docker run
	@go test -timeout 30m -run '^$$' -bench . -benchtime 1x ./infra/e2e

lint: ## check the code's form
	@test -z "$$(gofmt -l app infra tools)" || { gofmt -l app infra tools; echo "gofmt changes these"; exit 1; }
	for module in . app tools/cadvisor tools/collector tools/pulumi tools/plugins tools/victoria; do (cd $$module && go vet -tags no_compose ./... && go mod tidy -diff); done

shell: ready ## a shell in which plain pulumi works on this stack
	@echo "pulumi works here on stack $$STACK; leave with exit"
	eval "$$(TERM=dumb .pulumi/bin/stack env)"
	export -f pulumi
	exec bash

env: ## the same as make shell, as lines for eval "$(make env)"
	@go build -o .pulumi/bin/stack ./tools/stack
	$(STACK_TOOL) env

# tools brings Pulumi and its plugins.
tools:
	@said=$$(docker version --format '{{.Server.Version}}' 2>&1) || {
		case $$said in
		*'permission denied'*) echo "no permission to use the Docker Engine at $$DOCKER_HOST: add yourself to its group (sudo usermod -aG docker $$(id -un)) and log in again" ;;
		*'command not found'*) echo "there is no docker command: install Docker" ;;
		*) echo "no Docker Engine answers at $$DOCKER_HOST: start it (sudo systemctl start docker), or set DOCKER_HOST to where it listens" ;;
		esac >&2
		exit 1
	}
	tools/pulumi/ensure
	go build -o .pulumi/bin/stack ./tools/stack

# images brings what the stack does not build itself.
images: tools
	@TERM=dumb .pulumi/bin/stack images | tools/images/ensure

# ready makes the stack, and frees it if the run that locked it is dead.
ready: tools
	@$(STACK_TOOL) ready
