/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTESTS_VFIO_VFIO_PCI_LIVEUPDATE_H
#define SELFTESTS_VFIO_VFIO_PCI_LIVEUPDATE_H

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <linux/sizes.h>

#include <libvfio.h>

/*
 * Helpers for tests that have a device do DMA while it is preserved. All memory
 * that the device uses is in one memfd.
 */

#define DMA_COPY_SIZE 1024

/* Enough for any of libvfio's drivers, and as little as contiguous memory needs. */
#define DMA_DRIVER_SIZE (SZ_128K + SZ_32K)

/* What is in the memory. */
struct dma_layout {
	/* For the test itself. */
	char state[SZ_4K];

	/* Page by page, because the device copies from and to physical pages. */
	char src[SZ_4K];
	char dst[SZ_4K];

	/* For libvfio's driver of the device. */
	char driver[DMA_DRIVER_SIZE];
};

static inline const char *default_liveupdate_iommu_mode(const char *bdf)
{
	return vfio_pci_cdev_is_noiommu(bdf) ? MODE_IOMMUFD_NOIOMMU : MODE_IOMMUFD;
}

static inline struct dma_layout *dma_layout(struct dma_memfd *mem)
{
	return mem->region.vaddr;
}

static inline void dma_memory_create(struct dma_memfd *mem, struct iommu *iommu)
{
	const u64 size = roundup(sizeof(struct dma_layout), getpagesize());
	struct iova_allocator *allocator;
	iova_t iova;

	allocator = iova_allocator_init(iommu);
	iova = iova_allocator_alloc(allocator, SZ_1M);
	iova_allocator_cleanup(allocator);

	dma_memfd_create(mem, iommu, iova, size);
}

/* Give the device's driver, if there is one, its part of the memory. */
static inline void dma_driver_region_set(struct vfio_pci_device *device,
					 struct dma_memfd *mem)
{
	struct dma_region *region = &device->driver.region;

	region->vaddr = dma_layout(mem)->driver;
	region->iova = iommu_hva2iova(mem->iommu, region->vaddr);
	region->size = DMA_DRIVER_SIZE;
}

/*
 * Have the device copy a pattern made from @seed. Returns 0 if it arrived, and
 * only it.
 */
static inline int dma_copy(struct vfio_pci_device *device, struct dma_memfd *mem,
			   u8 seed)
{
	struct dma_layout *layout = dma_layout(mem);
	int ret;

	memset(layout->src, seed, sizeof(layout->src));
	memset(layout->dst, ~seed, sizeof(layout->dst));

	ret = vfio_pci_driver_memcpy(device, to_iova(device, layout->src),
				     to_iova(device, layout->dst), DMA_COPY_SIZE);
	if (ret)
		return ret;

	if (memcmp(layout->src, layout->dst, DMA_COPY_SIZE))
		return -EIO;

	for (int i = DMA_COPY_SIZE; i < sizeof(layout->dst); i++) {
		if (layout->dst[i] != (char)~seed)
			return -EFAULT;
	}

	return 0;
}

/* Have the device send the interrupt of its driver. Returns 0 if it arrived. */
static inline int send_msi(struct vfio_pci_device *device)
{
	struct pollfd event = {
		.fd = device->msi_eventfds[device->driver.msi],
		.events = POLLIN,
	};
	u64 count;

	vfio_pci_driver_send_msi(device);

	if (poll(&event, 1, 5000) != 1)
		return -ETIMEDOUT;

	if (read(event.fd, &count, sizeof(count)) != sizeof(count))
		return -errno;

	return 0;
}

#endif /* SELFTESTS_VFIO_VFIO_PCI_LIVEUPDATE_H */
