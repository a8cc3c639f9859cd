/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTESTS_VFIO_LIB_INCLUDE_LIBVFIO_DMA_MEMFD_H
#define SELFTESTS_VFIO_LIB_INCLUDE_LIBVFIO_DMA_MEMFD_H

#include <linux/types.h>

#include <libvfio/iommu.h>

/*
 * Memory for DMA that can be carried across a live update, because it is all in
 * one memfd.
 *
 * To the device it is one range of addresses. In noiommu mode these must be
 * physical ones, so the pages are taken from wherever in a larger memfd enough
 * of them happen to be contiguous. That need not be in their order in the file,
 * so the file cannot simply be mapped again. Its first page says how to.
 */
struct dma_memfd {
	int fd;
	struct dma_region region;

	/* What the memory is mapped into. NULL if it is not. */
	struct iommu *iommu;
};

/*
 * Create @size bytes of memory, zeroed, and map it at @iova. In noiommu mode
 * @iova is ignored, and there must be a device attached to @iommu.
 */
void dma_memfd_create(struct dma_memfd *mem, struct iommu *iommu,
		      iova_t iova, u64 size);

/*
 * Take over memory that dma_memfd_create() made in another process, and that
 * came here as @fd. The memory owns @fd from then on. It is not mapped for a
 * device yet.
 */
void dma_memfd_adopt(struct dma_memfd *mem, int fd);

/*
 * Map memory that was adopted. The device finds it where it was when it was
 * created. In noiommu mode there must be a device attached to @iommu.
 */
void dma_memfd_map(struct dma_memfd *mem, struct iommu *iommu);

void dma_memfd_cleanup(struct dma_memfd *mem);

#endif /* SELFTESTS_VFIO_LIB_INCLUDE_LIBVFIO_DMA_MEMFD_H */
