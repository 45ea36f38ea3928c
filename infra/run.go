package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/constant"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// runPlainly is pulumi.Run, but for what it says of an error: only what is wrong.
func runPlainly(program pulumi.RunFunc) {
	var info pulumi.RunInfo
	err := pulumi.RunErr(program, func(known *pulumi.RunInfo) { info = *known })
	switch err {
	case nil:
		return
	case pulumi.ErrPlugins:
		pulumi.Run(program) // which answers this question
		return
	}
	ctx, contextErr := pulumi.NewContext(context.Background(), info)
	if contextErr == nil {
		contextErr = ctx.Log.Error(plain(err), nil)
	}
	if contextErr != nil {
		fmt.Fprintln(os.Stderr, plain(err))
	}
	os.Exit(constant.ExitStatusLoggedError)
}

// plain leaves out of an error what tells of the SDK: the error of an output has waited
// for RPCs.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "waiting for RPCs: ") }
