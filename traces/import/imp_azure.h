/*
 * imp_azure.h - the Azure LLM inference traces (2023 and 2024) as rows.
 *
 * CSV with a header: TIMESTAMP ("2023-11-16 18:17:03.9799600", UTC unless it says
 * otherwise), ContextTokens, GeneratedTokens; further columns are ignored. Source: the
 * README files of github.com/Azure/AzurePublicDataset.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_AZURE_H
#define TRACES_IMPORT_IMP_AZURE_H

#include "traces/container/zin.h"
#include "traces/import/imp_rows.h"

/* Reads to the end. ERR_FORMAT and ERR_LIMIT name the line; ERR_FORMAT without any row.
 */
int imp_azure_read(struct zin *in, struct imp_rows *rows, struct err *e) MUST_USE;

#endif
