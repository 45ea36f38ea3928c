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
# backend or passphrase. The user's own ~/.pulumi is left alone.
LOCAL := $(CURDIR)/.pulumi
export PATH := $(LOCAL)/bin:$(PATH)
export PULUMI_HOME := $(LOCAL)/home
# metadata=skip: no second file beside each of the state's. A run that was killed
# could leave that one cut off, and the state could not be read.
export PULUMI_BACKEND_URL ?= file://$(LOCAL)/state?metadata=skip
export PULUMI_SKIP_UPDATE_CHECK := true
ifeq ($(origin PULUMI_CONFIG_PASSPHRASE)$(origin PULUMI_CONFIG_PASSPHRASE_FILE),undefinedundefined)
export PULUMI_CONFIG_PASSPHRASE_FILE := $(LOCAL)/passphrase
endif
# The provider asks the engine that the docker command uses.
ifeq ($(origin DOCKER_HOST),undefined)
export DOCKER_HOST := $(shell docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || echo unix:///var/run/docker.sock)
endif

STACK_TOOL := $(LOCAL)/bin/stack

.PHONY: help up down rollback versions purge preview status logs test bench lint shell env tools ready

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-9s %s\n", $$1, $$2 }'

up: ready ## bring the stack to what the configuration and the code say
	@$(STACK_TOOL) sweep
	pulumi up --stack $(STACK) --yes --skip-preview || { $(STACK_TOOL) finish; exit 1; }
	pulumi stack output caCertificate --stack $(STACK) >$(LOCAL)/ca-$(STACK).pem
	echo
	$(STACK_TOOL) urls

rollback: ready ## put the last version that served before back, without a build; VERSION=name says which
	@version=$$($(STACK_TOOL) previous)
	echo "going back to version $$version"
	APP_VERSION=$$version pulumi up --stack $(STACK) --yes --skip-preview

versions: ready ## list the versions that can be put back
	@$(STACK_TOOL) versions

purge: ready ## remove, after asking, what carries the stack's name and is in no state
	@$(STACK_TOOL) purge

preview: ready ## show what make up would change
	@pulumi preview --stack $(STACK) --diff

down: ready ## remove everything the stack made; its configuration stays
	@$(STACK_TOOL) sweep
	pulumi destroy --stack $(STACK) --yes --skip-preview
	$(STACK_TOOL) clear
	rm -f $(LOCAL)/ca-$(STACK).pem

status: ready ## show the containers, what Prometheus reaches, and the alerts
	@$(STACK_TOOL) status

# In GREP a $ is a $. A library would ask the terminal for its colours, and one that
# does not answer is waited for: to a dumb one nothing is said.
logs: override export GREP := $(value GREP)
logs: ## follow the logs of all containers; SERVICE=proxy,replica SINCE=10m GREP=text narrow them, FOLLOW=no ends
	@go build -o $(STACK_TOOL) ./tools/stack
	TERM=dumb exec $(STACK_TOOL) logs

test: tools ## run all tests, the end-to-end tests on the real engine included
	@(cd app && go test ./...)
	go test $$(go list ./infra/... ./tools/... | grep -v /e2e)
	for program in infra tools/stack; do # linked once for all tests
		GOFLAGS='-trimpath -buildvcs=false' go build -o $(LOCAL)/e2e/ ./$$program
	done
	mv $(LOCAL)/e2e/infra $(LOCAL)/e2e/program
	go test -timeout 75m -parallel 2 -v ./infra/e2e

bench: tools ## time up, scaling, a new version and destroy, against one docker run
	@go test -timeout 30m -run '^$$' -bench . -benchtime 1x ./infra/e2e

lint: ## check the code's form
	@test -z "$$(gofmt -l app infra tools)" || { gofmt -l app infra tools; echo "gofmt changes these"; exit 1; }
	for module in . app tools/cadvisor tools/collector tools/pulumi tools/plugins tools/victoria; do (cd $$module && go vet -tags no_compose ./... && go mod tidy -diff); done

shell: ready ## a shell in which plain pulumi works on this stack
	@echo "pulumi works here on stack $(STACK); leave with exit"
	bash

env: ## the same as make shell, as lines for eval "$(make env)"
	@for name in PATH PULUMI_STACK PULUMI_HOME PULUMI_BACKEND_URL PULUMI_CONFIG_PASSPHRASE_FILE PULUMI_SKIP_UPDATE_CHECK DOCKER_HOST; do
		[ -z "$${!name-}" ] || printf 'export %s=%q\n' $$name "$${!name}"
	done

# tools brings Pulumi, its plugins and the images.
tools:
	@docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || {
		docker version 2>&1 | grep -q 'permission denied' \
			&& echo "no permission to use the Docker Engine at $$DOCKER_HOST: add yourself to its group (sudo usermod -aG docker $$USER) and log in again" >&2 \
			|| echo "no Docker Engine answers at $$DOCKER_HOST: start it (sudo systemctl start docker), or set DOCKER_HOST to where it listens" >&2
		exit 1
	}
	tools/pulumi/ensure
	go build -o $(STACK_TOOL) ./tools/stack
	$(STACK_TOOL) images | tools/images/ensure

# ready makes the stack, and frees it if the run that locked it is dead.
ready: tools
	@if [ -n "$${PULUMI_CONFIG_PASSPHRASE_FILE-}" ] && [ ! -e "$$PULUMI_CONFIG_PASSPHRASE_FILE" ]; then
		! grep -q '^encryptionsalt' Pulumi.$(STACK).yaml 2>/dev/null || {
			echo "Pulumi.$(STACK).yaml was encrypted with a passphrase that is not here: put it into $$PULUMI_CONFIG_PASSPHRASE_FILE, or remove the line encryptionsalt and the secrets from the file" >&2
			exit 1
		}
		(umask 077; head -c 24 /dev/urandom | base64 >"$$PULUMI_CONFIG_PASSPHRASE_FILE")
	fi
	folder=$${PULUMI_BACKEND_URL%%\?*}
	case $$folder in file://~*) ;; file://*) mkdir -p "$${folder#file://}" ;; esac
	$(STACK_TOOL) unlock
	pulumi stack select --create $(STACK) >/dev/null
