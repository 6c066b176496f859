# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The CloudFormation template of the function that replicates: role, function, schedule. Pure.

A schedule starts the function every minute and it runs until its time limit; the reserved concurrency of 1 lets a start be
nothing while it runs, and no start waits for later. What it may do is read both streams, write both graphs (for the way
back) and keep its checkpoints.
"""

from __future__ import annotations

from typing import Any

RUNTIME = "python3.12"
TIME_LIMIT = 900  # seconds, the most that Lambda gives
_MEMORY = 2048

Shape = dict[str, Any]

_READ = ("connect", "GetStreamRecords", "GetEngineStatus", "ReadDataViaQuery")
_WRITE = ("WriteDataViaQuery", "DeleteDataViaQuery")


def function_template() -> Shape:
    """The template; its parameters are those of :data:`PARAMETERS`."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "bluegreen.aws: replication of Neptune Streams from blue to green, and back",
        "Parameters": {name: {"Type": kind, "Description": words} for name, (kind, words) in PARAMETERS.items()},
        "Resources": {
            "Role": _role(),
            "Function": _function(),
            "NoRetry": {
                "Type": "AWS::Lambda::EventInvokeConfig",
                "Properties": {
                    "FunctionName": _ref("Function"),
                    "Qualifier": "$LATEST",
                    "MaximumRetryAttempts": 0,
                    "MaximumEventAgeInSeconds": 60,
                },
            },
            "Schedule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "ScheduleExpression": "rate(1 minute)",
                    "State": "ENABLED",
                    "Targets": [{"Arn": _arn("Function"), "Id": "replicate"}],
                },
            },
            "MayStart": {
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "FunctionName": _ref("Function"),
                    "Action": "lambda:InvokeFunction",
                    "Principal": "events.amazonaws.com",
                    "SourceArn": _arn("Schedule"),
                },
            },
        },
        "Outputs": {
            "CronArn": {"Description": "The schedule", "Value": _arn("Schedule")},
            "FunctionArn": {"Description": "The function", "Value": _arn("Function")},
        },
    }


PARAMETERS = {
    "CodeBucket": ("String", "Bucket of the function's code"),
    "CodeKey": ("String", "Key of the function's code"),
    "SubnetIds": ("List<AWS::EC2::Subnet::Id>", "Subnets that reach both clusters and DynamoDB"),
    "SecurityGroupIds": ("List<AWS::EC2::SecurityGroup::Id>", "Security groups that both clusters let in"),
    "CheckpointTable": ("String", "DynamoDB table of checkpoints"),
    "ForwardLease": ("String", "Key of the checkpoint from blue to green"),
    "ReverseLease": ("String", "Key of the checkpoint from green to blue"),
    "Blue": ("String", "Blue's writer endpoint as host:port"),
    "BlueResourceId": ("String", "Blue's cluster resource id"),
    "BlueIamAuth": ("String", "Whether requests to blue are signed"),
    "Green": ("String", "Green's writer endpoint as host:port"),
    "GreenResourceId": ("String", "Green's cluster resource id"),
    "GreenIamAuth": ("String", "Whether requests to green are signed"),
    "GraphType": ("String", "propertygraph or rdf"),
    "Lanes": ("String", "Requests at once"),
    "Batch": ("String", "Changes in a request"),
    "PageSize": ("String", "Records read at once"),
    "BlankNodes": ("String", "stop or allow"),
    "LeaseTtl": ("String", "Seconds after which another run may go on"),
}


def _role() -> Shape:
    table = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${CheckpointTable}"}
    data = [
        {"Fn::Sub": f"arn:${{AWS::Partition}}:neptune-db:${{AWS::Region}}:${{AWS::AccountId}}:${{{side}ResourceId}}/*"}
        for side in ("Blue", "Green")
    ]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            "ManagedPolicyArns": [
                {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"}
            ],
            "Policies": [
                {
                    "PolicyName": "replicate",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": ["dynamodb:GetItem", "dynamodb:UpdateItem"],
                                "Resource": table,
                            },
                            {
                                "Effect": "Allow",
                                "Action": [f"neptune-db:{action}" for action in (*_READ, *_WRITE)],
                                "Resource": data,
                            },
                        ],
                    },
                }
            ],
        },
    }


def _function() -> Shape:
    environment = {
        "CHECKPOINT_TABLE": "CheckpointTable",
        "LEASE_FORWARD": "ForwardLease",
        "LEASE_REVERSE": "ReverseLease",
        "BLUE": "Blue",
        "BLUE_IAM_AUTH": "BlueIamAuth",
        "GREEN": "Green",
        "GREEN_IAM_AUTH": "GreenIamAuth",
        "GRAPH_TYPE": "GraphType",
        "LANES": "Lanes",
        "BATCH": "Batch",
        "PAGE_SIZE": "PageSize",
        "BLANK_NODES": "BlankNodes",
        "LEASE_TTL": "LeaseTtl",
    }
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Description": "Replicates Neptune Streams",
            "Runtime": RUNTIME,
            "Handler": "index.handler",
            "Role": _arn("Role"),
            "Code": {"S3Bucket": _ref("CodeBucket"), "S3Key": _ref("CodeKey")},
            "Timeout": TIME_LIMIT,
            "MemorySize": _MEMORY,
            "ReservedConcurrentExecutions": 1,
            "VpcConfig": {"SubnetIds": _ref("SubnetIds"), "SecurityGroupIds": _ref("SecurityGroupIds")},
            "Environment": {"Variables": {name: _ref(parameter) for name, parameter in environment.items()}},
        },
    }


def _ref(name: str) -> Shape:
    return {"Ref": name}


def _arn(name: str) -> Shape:
    return {"Fn::GetAtt": [name, "Arn"]}
